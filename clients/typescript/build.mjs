// Makes dist/: the licence, esm/ and cjs/ with their types, and weft-client.min.js, one minified ES module for pages without a bundler.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

process.chdir(path.dirname(fileURLToPath(import.meta.url)));
fs.rmSync('dist', { recursive: true, force: true });
execFileSync('node_modules/.bin/tsc', ['--emitDeclarationOnly'], { stdio: 'inherit' });
fs.cpSync('dist/esm', 'dist/cjs', { recursive: true });
fs.copyFileSync('../../LICENSE', 'dist/LICENSE');
fs.writeFileSync('dist/cjs/package.json', '{"type":"commonjs"}\n');

const common = { entryPoints: ['src/index.ts'], bundle: true, target: 'es2022', logLevel: 'warning' };
await Promise.all([
  build({ ...common, format: 'esm', outfile: 'dist/esm/index.js' }),
  build({ ...common, format: 'cjs', outfile: 'dist/cjs/index.js' }),
  build({ ...common, format: 'esm', outfile: 'dist/weft-client.min.js', minify: true }),
]);
