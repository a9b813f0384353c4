// A Node process that tests talk to: each line of the input is a request, each line of the output its answer.
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import {createRequire} from 'node:module';

const require = createRequire(import.meta.url);
console.warn = console.log = console.info = () => {};  // the output is for answers
const tf = require('@tensorflow/tfjs');
const backend = process.argv[2] ?? 'cpu';
if (backend === 'wasm') {
  const wasm = require('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(path.join(path.dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json')), 'dist/'));
}
await tf.setBackend(backend);
await tf.ready();
if (tf.getBackend() !== backend) throw new Error(`the backend is ${tf.getBackend()}`);

/** Have every request draw the same numbers: initializers without a seed take theirs from here (mulberry32). */
function seedRandom(state) {
  Math.random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const TYPES = {float32: Float32Array, int32: Int32Array, bool: Uint8Array};

/** {shape, dtype, data (base64)} to a tensor, in lists and objects too. */
function revive(value) {
  if (Array.isArray(value)) return value.map(revive);
  if (value === null || typeof value !== 'object') return value;
  if ('data' in value && 'shape' in value && 'dtype' in value) {
    const bytes = Uint8Array.from(Buffer.from(value.data, 'base64'));
    return tf.tensor(new TYPES[value.dtype](bytes.buffer), value.shape, value.dtype);
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, revive(item)]));
}

/** Tensors to {shape, dtype, data}, in lists and objects too. */
function flatten(value) {
  if (value instanceof tf.Tensor || value instanceof tf.Variable) {
    const typed = value.dataSync();
    const data = Buffer.from(typed.buffer, typed.byteOffset, typed.byteLength).toString('base64');
    return {shape: value.shape, dtype: value.dtype, data};
  }
  if (Array.isArray(value)) return value.map(flatten);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, flatten(item)]));
}

/** Read model.json and its shards as tfjs-node does. */
function reader(file) {
  return {load: async () => {
    const stored = JSON.parse(fs.readFileSync(file, 'utf8'));
    const folder = path.dirname(file);
    const parts = (stored.weightsManifest ?? []).flatMap(g => g.paths.map(p => fs.readFileSync(path.join(folder, p))));
    const whole = Buffer.concat(parts);
    return {
      ...stored,
      weightSpecs: (stored.weightsManifest ?? []).flatMap(g => g.weights),
      weightData: whole.buffer.slice(whole.byteOffset, whole.byteOffset + whole.byteLength),
    };
  }};
}

/** Write model.json and weights.bin as tfjs-node does. */
function writer(folder) {
  return {save: async artifacts => {
    fs.mkdirSync(folder, {recursive: true});
    const {weightData, weightSpecs, ...rest} = artifacts;
    const stored = {...rest, weightsManifest: [{paths: ['weights.bin'], weights: weightSpecs}]};
    fs.writeFileSync(path.join(folder, 'model.json'), JSON.stringify(stored));
    fs.writeFileSync(path.join(folder, 'weights.bin'), Buffer.from(tf.io.CompositeArrayBuffer.join(weightData)));
    return {modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(artifacts)};
  }};
}

const load = file => tf.loadLayersModel(reader(file));
const save = (model, folder, options) => model.save(writer(folder), options);
const AsyncFunction = (async () => {}).constructor;

for await (const line of readline.createInterface({input: process.stdin})) {
  let answer;
  try {
    const {code, given} = JSON.parse(line);
    seedRandom(0);
    tf.engine().startScope();
    const run = new AsyncFunction('tf', 'given', 'load', 'save', 'require', code);
    answer = {result: flatten(await run(tf, revive(given), load, save, require) ?? null)};
    tf.engine().endScope();
    tf.disposeVariables();
  } catch (error) {
    answer = {error: String(error.message ?? error)};
  }
  process.stdout.write(JSON.stringify(answer) + '\n');
}
