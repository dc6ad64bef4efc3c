import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/setup.mjs'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    fileParallelism: false, // one machine, two nodes
    maxWorkers: 1,
    minWorkers: 1,
  },
});
