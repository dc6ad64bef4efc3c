# coding: utf-8
# suite.py PACKAGES SPEC [PATTERN...] : runs Autobahn|Testsuite's fuzzingclient. Python 2.7, as the suite itself.
#
# PACKAGES is the folder that pip has filled from requirements.txt. SPEC is a fuzzingclient specification (JSON) of which
# each server brings `cases` of its own; with patterns, only those of them run that match one ("9.*", "12.1.1"). Beside
# the reports, the folder `outdir` gets asked.json, which names for each agent the cases that should be in them: the
# suite itself passes over a server that it can't reach.
from __future__ import print_function

import io
import json
import os
import site
import sys
import types
import unittest

site.addsitedir(sys.argv[1])

# The suite imports TLS support, which wants pyOpenSSL and cryptography. A ws:// address uses none of it.
import twisted.internet  # noqa: E402

tls = types.ModuleType('twisted.internet.ssl')
tls.ClientContextFactory = type('ClientContextFactory', (object,), {})
sys.modules['twisted.internet.ssl'] = twisted.internet.ssl = tls

# It also imports a unit test of Autobahn's.
sys.modules['unittest2'] = unittest

from autobahntestsuite import fuzzing  # noqa: E402
from twisted.internet import reactor  # noqa: E402


class Client(fuzzing.FuzzingClientFactory):
    """A fuzzing client that gives each server its own cases, and tells where it is."""

    def nextServer(self):
        more = fuzzing.FuzzingClientFactory.nextServer(self)
        if more:
            self.specCases = self.spec['servers'][self.currServer]['cases']
        return more

    def nextCase(self):
        more = fuzzing.FuzzingClientFactory.nextCase(self)
        if more:
            chapter = (self.agent, self.currentCaseId.split('.')[0])
            if chapter != getattr(self, 'chapter', None):
                self.chapter = chapter
                print('%s: cases %s.*' % chapter, file=sys.stderr)
        return more


def main(spec_file, patterns):
    with io.open(spec_file, encoding='utf-8') as text:
        spec = json.load(text)
    cases = fuzzing.CaseSet(fuzzing.CaseSetname, fuzzing.CaseBasename, fuzzing.Cases, fuzzing.CaseCategories,
                            fuzzing.CaseSubCategories)
    wanted = set()
    for pattern in patterns or ['*']:
        matches = set(cases.CasesById).intersection(cases.resolveCasePatternList([pattern]))
        matches or sys.exit('no case matches %s' % pattern)
        wanted |= matches
    for server in spec['servers']:
        server['cases'] = [case for case in cases.parseSpecCases(server) if case in wanted]
    spec['servers'] = [server for server in spec['servers'] if server['cases']]
    spec['cases'] = []
    os.path.isdir(spec['outdir']) or os.makedirs(spec['outdir'])
    with open(os.path.join(spec['outdir'], 'asked.json'), 'w') as asked:
        json.dump(dict((server['agent'], server['cases']) for server in spec['servers']), asked, indent=1)
    Client(spec)
    reactor.run()


main(sys.argv[2], sys.argv[3:])
