// Starts the two nodes that all tests share.
import path from 'node:path';

import { startNodes, tree } from '../../../tests/browser/nodes.mjs';

export default async function setup({ provide }) {
  const { nodes, key, state, stop } = await startNodes(path.join(tree, 'tests/clients'));
  provide('nodes', { urls: nodes, key, state });
  return stop;
}
