"""run.py FILE : runs the tests beside it; FILE gets how many passed, failed and were skipped."""
import pathlib
import sys
import unittest

here = pathlib.Path(__file__).parent
suite = unittest.defaultTestLoader.discover(str(here))
result = unittest.TextTestRunner(verbosity=2).run(suite)
bad, skips = len(result.failures) + len(result.errors), len(result.skipped)
pathlib.Path(sys.argv[1]).write_text(f"{result.testsRun - bad - skips} {bad} {skips}\n", encoding="ascii")
sys.exit(not result.wasSuccessful())
