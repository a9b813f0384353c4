// Predict records from the command line; an example to start from.
//
//   npm install @tensorflow/tfjs
//   node predict.js '{"age": 22, "sex": "female", "fare": null}'
//   node predict.js records.json          an array of records, or one
//   node predict.js -                     the same from standard input
//
// Prints JSON: for an array an array. Errors are one sentence on standard error, with exit status 1.

'use strict';

const fs = require('node:fs');
const path = require('node:path');
const {createRequire} = require('node:module');
const {encode, decode} = require('./encode.js');

const USAGE = `usage: node predict.js '{"column": value, ...}' | records.json | -`;
const BATCH = 1024;

/** TensorFlow.js, the faster one if it is installed, beside this file or where the command is run. */
function tensorflow() {
  const places = [require, createRequire(path.join(process.cwd(), 'predict.js'))];
  for (const name of ['@tensorflow/tfjs-node', '@tensorflow/tfjs']) {
    for (const from of places) {
      let found;
      try {
        found = from.resolve(name);
      } catch {
        continue;  // not here
      }
      return require(found);
    }
  }
  throw new Error(`TensorFlow.js is not installed: run 'npm install @tensorflow/tfjs' here or in ${__dirname}`);
}

/** Lets TensorFlow.js read model.json and its weights from a directory, which without tfjs-node it cannot. */
function reader(directory) {
  return {load: async () => {
    const {weightsManifest, ...stored} = JSON.parse(fs.readFileSync(path.join(directory, 'model.json'), 'utf8'));
    const parts = weightsManifest.flatMap(group => group.paths.map(file => fs.readFileSync(path.join(directory, file))));
    const bytes = Uint8Array.from(Buffer.concat(parts));
    return {...stored, weightSpecs: weightsManifest.flatMap(group => group.weights), weightData: bytes.buffer};
  }};
}

function parse(text, place) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${place} is not JSON: ${error.message}`);
  }
}

function records(argument) {
  if (argument === undefined) throw new Error(USAGE);
  if (/^\s*[{[]/.test(argument)) return parse(argument, 'the record');
  if (argument === '-') return parse(fs.readFileSync(0, 'utf8'), 'the standard input');
  if (!fs.existsSync(argument)) throw new Error(`there is no file '${argument}'; ${USAGE}`);
  return parse(fs.readFileSync(argument, 'utf8'), `'${argument}'`);
}

async function main() {
  const given = records(process.argv[2]);
  const schema = parse(fs.readFileSync(path.join(__dirname, 'schema.json'), 'utf8'), 'schema.json');
  const inputs = encode(schema, given);
  const tf = tensorflow();
  tf.enableProdMode();  // else a greeting
  const model = await tf.loadLayersModel(reader(__dirname));
  const tensors = inputs.map(({values, shape}) => tf.tensor(values, shape));
  const outputs = model.predict(tensors.length > 1 ? tensors : tensors[0], {batchSize: BATCH});
  const predicted = decode(schema, await outputs.data());
  console.log(JSON.stringify(Array.isArray(given) ? predicted : predicted[0], null, 1));
}

main().catch(error => {
  console.error(error.message);
  process.exitCode = 1;
});
