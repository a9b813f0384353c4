// Trains the digits network in TensorFlow.js on Node's wasm backend; started by digits.py, which reads its last line.
// Argument: JSON {folder, epochs, warm_up_epochs, networks, batch_size, hidden, dropout, l2, learning_rate}.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, sep } from "node:path";

const require = createRequire(import.meta.url);
const tf = require("@tensorflow/tfjs");
const wasm = require("@tensorflow/tfjs-backend-wasm");

const task = JSON.parse(process.argv[2]);
const meta = JSON.parse(readFileSync(join(task.folder, "meta.json"), "utf8"));

// Node's file as an array of its own: a Buffer may start where no float may
function read(name, Type) {
  const bytes = readFileSync(join(task.folder, name));
  return new Type(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

async function startBackend() {
  wasm.setWasmPaths(dirname(require.resolve("@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm")) + sep);
  await tf.setBackend("wasm");
  await tf.ready();
  if (tf.getBackend() !== "wasm") throw new Error(`The backend is ${tf.getBackend()}, not wasm.`);
  const simd = await tf.env().getAsync("WASM_HAS_SIMD_SUPPORT");
  const threads = await tf.env().getAsync("WASM_HAS_MULTITHREAD_SUPPORT");
  return { backend: tf.getBackend(), simd, threads };
}

function loadFold() {
  const inputs = tf.tensor2d(read("inputs.f32", Float32Array), [meta.rows, meta.features]);
  const targets = tf.oneHot(tf.tensor1d(read("targets.i32", Int32Array), "int32"), meta.classes).toFloat();
  const take = (name) => {
    const index = tf.tensor1d(read(name, Int32Array), "int32");
    return [tf.gather(inputs, index), tf.gather(targets, index)];
  };
  return { train: take("train.i32"), heldOut: take("held_out.i32") };
}

function build() {
  const kernelRegularizer = () => tf.regularizers.l2({ l2: task.l2 });
  const model = tf.sequential({
    layers: [
      tf.layers.dense({
        inputShape: [meta.features],
        units: task.hidden,
        activation: "relu",
        kernelInitializer: "heNormal",
        kernelRegularizer: kernelRegularizer(),
      }),
      tf.layers.dropout({ rate: task.dropout }),
      tf.layers.dense({ units: meta.classes, activation: "softmax", kernelRegularizer: kernelRegularizer() }),
    ],
  });
  model.compile({ optimizer: tf.train.adam(task.learning_rate), loss: "categoricalCrossentropy" });
  return model;
}

async function fit(fold, epochs) {
  const begin = performance.now();
  const model = build();
  const history = await model.fit(...fold.train, {
    epochs,
    batchSize: task.batch_size,
    validationData: fold.heldOut,
    verbose: 0,
    yieldEvery: "never", // nobody waits for the event loop: the fastest setting
  });
  const seconds = (performance.now() - begin) / 1000;
  return { seconds, measured_epochs: history.history.val_loss.length, accuracy: accuracy(model, fold.heldOut) };
}

function accuracy(model, [inputs, targets]) {
  return tf.tidy(() => model.predict(inputs).argMax(1).equal(targets.argMax(1)).mean().dataSync()[0]);
}

const flags = await startBackend();
const fold = loadFold();
const warmUp = await fit(fold, task.warm_up_epochs);
const fits = [];
for (let i = 0; i < task.networks; i++) fits.push(await fit(fold, task.epochs));
const peak_bytes = process.resourceUsage().maxRSS * 1024;
console.log("fitwell-benchmark-result " + JSON.stringify({ ...flags, warm_up_seconds: warmUp.seconds, fits, peak_bytes }));
