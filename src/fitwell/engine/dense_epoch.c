/* An epoch of dense ReLU networks: what DenseTraining of dense_training.py does, one network after another, so that all
   that a step touches stays in the cache. Matrix products are those of NumPy's own BLAS, whose address Python passes.
   Never compiled with -ffast-math: networks that diverge must become infinite or NaN. */
#include <math.h>
#include <stdint.h>
#include <string.h>

/* several versions of each loop, of which the loader takes the one for this machine: by what it can do, for a name
   such as arch=haswell would stand for that processor only */
#if defined(__x86_64__) && defined(__GLIBC__) && __GNUC__ >= 12 && !defined(__clang__)
#define FAST __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#elif defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define FAST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FAST
#endif

/* the checksum of this file, by which Python tells a library of other sources: its arrays would be read wrongly */
#ifndef FITWELL_SOURCE
#define FITWELL_SOURCE 0
#endif
int64_t fitwell_source(void) { return FITWELL_SOURCE; }

enum { ROW_MAJOR = 101, AS_IS = 111, TRANSPOSED = 112 };
typedef void sgemm64(int, int, int, int64_t, int64_t, int64_t, float, const float *, int64_t, const float *, int64_t,
                     float, float *, int64_t);
typedef void sgemm32(int, int, int, int32_t, int32_t, int32_t, float, const float *, int32_t, const float *, int32_t,
                     float, float *, int32_t);

/* _Networks of fused_training.py; of arrays that are NULL all numbers are zero */
typedef struct {
  const void *sgemm;
  const int64_t *sizes;                        /* [layers + 1] */
  const float *rates, *l1, *l2, *decay;        /* [S], then [S, layers]; l2 is the derivative's */
  const float *paces;                          /* [S], times the rate at which scales of the inputs are learned */
  const float *shrunk;                         /* [S], by how much whole columns are */
  const int64_t *columns;                      /* [d], the number of the column that each input is of */
  const float *roots;                          /* [columns], of how many inputs there are of each */
  const float *unit_factor, *weight_factor;    /* of units [S, layers - 1] and weights [S, layers] that stay, */
  const uint32_t *unit_level, *weight_level;   /* which are those whose noise is below */
  int64_t wide, strengths, layers, count;      /* are BLAS's integers 64 bits; S; -; P */
  int64_t classes, targets, labels;            /* 0: no log loss of classes; of a row; are they 0 or 1 each */
  int64_t scaled;                              /* are there scales of the inputs, behind the biases */
  int64_t grouped;                             /* how many columns there are, where some are shrunk */
} Networks;

/* c [m, n] = a [m, k] times b [k, n], of which a or b may be stored transposed; added to c, or in its place */
static void product(const Networks *net, int ta, int tb, int64_t m, int64_t n, int64_t k, const float *a,
                    const float *b, int added, float *c) {
  int64_t lda = ta == TRANSPOSED ? m : k, ldb = tb == TRANSPOSED ? k : n;
  if (net->wide)
    ((sgemm64 *)net->sgemm)(ROW_MAJOR, ta, tb, m, n, k, 1, a, lda, b, ldb, added, c, n);
  else
    ((sgemm32 *)net->sgemm)(ROW_MAJOR, ta, tb, m, n, k, 1, a, lda, b, ldb, added, c, n);
}

/* the hash of plain_noise.py */
typedef struct {
  uint32_t first, second;
} Key;

static inline uint32_t mixed(uint32_t word) {
  word = (word ^ (word >> 16)) * 0x7FEB352Du;
  word = (word ^ (word >> 15)) * 0x846CA68Bu;
  return word ^ (word >> 16);
}

static Key folded(Key key, uint32_t number) {
  uint32_t first = mixed(key.first ^ mixed(number + key.second));
  return (Key){first, mixed(key.second + mixed(first ^ number) + 0x85EBCA6Bu)};
}

FAST static void draw_levels(Key key, int64_t count, uint32_t *out) {
  for (int64_t i = 0; i < count; i++) out[i] = mixed(mixed((uint32_t)i ^ key.first) + key.second) >> 8;
}

FAST static void add_bias(int64_t units, int64_t rows, float *values, const float *bias) {
  for (int64_t u = 0; u < units; u++, values += rows)
    for (int64_t i = 0; i < rows; i++) values[i] += bias[u];
}

/* products with 0, so that what is not finite stays so */
FAST static void rectify(int64_t units, int64_t rows, float *values, const float *bias) {
  for (int64_t u = 0; u < units; u++, values += rows)
    for (int64_t i = 0; i < rows; i++) {
      float x = values[i] + bias[u];
      values[i] = x * (x > 0 ? 1.0f : 0.0f);
    }
}

FAST static void rectify_and_drop(int64_t units, int64_t rows, float *values, const float *bias, const uint32_t *levels,
                                  int64_t batch, uint32_t threshold, float inverse) {
  for (int64_t u = 0; u < units; u++, values += rows, levels += batch)
    for (int64_t i = 0; i < rows; i++) {
      float x = values[i] + bias[u], kept = levels[i] < threshold ? inverse : 0;
      values[i] = x * (x > 0 ? kept : 0);
    }
}

FAST static void drop_weights(int64_t count, const float *kernel, const uint32_t *levels, uint32_t threshold,
                              float factor, float *seen) {
  for (int64_t i = 0; i < count; i++) seen[i] = kernel[i] * (levels[i] < threshold ? factor : 0);
}

/* the first kernel as it is seen: times the scales of the inputs; in its place or elsewhere */
FAST static void scale_inputs(int64_t units, int64_t width, const float *kernel, const float *scales, float *seen) {
  for (int64_t u = 0; u < units; u++, kernel += width, seen += width)
    for (int64_t j = 0; j < width; j++) seen[j] = kernel[j] * scales[j];
}

/* slopes by what is seen of the first kernel become those by the scales, and by the kernel (without its scales) */
FAST static void unscale_slopes(int64_t units, int64_t width, const float *kernel, const float *scales, float *slopes,
                                float *by_scale) {
  memset(by_scale, 0, width * sizeof(float));
  for (int64_t u = 0; u < units; u++, kernel += width, slopes += width)
    for (int64_t j = 0; j < width; j++) {
      by_scale[j] += slopes[j] * kernel[j];
      slopes[j] *= scales[j];
    }
}

/* the way back through activations: only where there was something, and by its factor */
FAST static void gate(int64_t count, float *slopes, const float *values, float factor) {
  for (int64_t i = 0; i < count; i++) slopes[i] *= values[i] > 0 ? factor : 0;
}

/* of numbers that are not above 0, to two units in the last place (polynomial of Cephes, Moshier 1992) */
static inline float exponential(float x) {
  x = x < -87 ? -87 : x;
  float n = floorf(x * 1.44269504f + 0.5f), r = x - n * 0.693359375f + n * 2.12194440e-4f, p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f, p = p * r + 8.3334519073e-3f, p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f, p = p * r + 5.0000001201e-1f;
  uint32_t bits = (uint32_t)((int32_t)n + 127) << 23;
  float power;
  memcpy(&power, &bits, sizeof power);
  return (p * r * r + r + 1) * power;
}

/* outputs [k, rows] become the slopes of the loss by `weight` a row; `room` is [2, rows] */
FAST static void log_loss_slope(int64_t k, int64_t rows, float *outputs, const int32_t *classes, float weight,
                                float *room) {
  float *largest = memcpy(room, outputs, rows * sizeof(float)), *total = memset(room + rows, 0, rows * sizeof(float));
  for (int64_t c = 1; c < k; c++)
    for (int64_t i = 0; i < rows; i++) largest[i] = outputs[c * rows + i] > largest[i] ? outputs[c * rows + i] : largest[i];
  for (int64_t c = 0; c < k; c++)
    for (int64_t i = 0; i < rows; i++) total[i] += outputs[c * rows + i] = exponential(outputs[c * rows + i] - largest[i]);
  for (int64_t c = 0; c < k; c++)
    for (int64_t i = 0; i < rows; i++)
      outputs[c * rows + i] = (outputs[c * rows + i] / total[i] - (classes[i] == c)) * weight;
}

/* of the mean over k outputs, whose targets are [rows, k] */
static void squared_error_slope(int64_t k, int64_t rows, float *outputs, const float *targets, float weight) {
  float factor = 2 * weight / k;
  for (int64_t c = 0; c < k; c++)
    for (int64_t i = 0; i < rows; i++) outputs[c * rows + i] = (outputs[c * rows + i] - targets[i * k + c]) * factor;
}

/* likewise, of targets that are 0 or 1 */
static void label_loss_slope(int64_t k, int64_t rows, float *outputs, const float *targets, float weight) {
  float factor = weight / k;
  for (int64_t c = 0; c < k; c++)
    for (int64_t i = 0; i < rows; i++) {
      float x = outputs[c * rows + i], e = exponential(x > 0 ? -x : x);
      outputs[c * rows + i] = ((x > 0 ? 1 : e) / (1 + e) - targets[i * k + c]) * factor;
    }
}

/* slopes [k, rows] by what each row counts */
FAST static void weigh(int64_t k, int64_t rows, float *slopes, const float *counts) {
  for (int64_t c = 0; c < k; c++, slopes += rows)
    for (int64_t i = 0; i < rows; i++) slopes[i] *= counts[i];
}

/* sums over rows: sixteen at once, in an order that only depends on their number */
FAST static void sum_rows(int64_t units, int64_t rows, const float *values, int added, float *sums) {
  for (int64_t u = 0; u < units; u++, values += rows) {
    float parts[16] = {0}, sum = added ? sums[u] : 0;
    int64_t i = 0;
    for (; i + 16 <= rows; i += 16)
      for (int j = 0; j < 16; j++) parts[j] += values[i + j];
    for (; i < rows; i++) sum += values[i];
    for (int j = 0; j < 16; j++) sum += parts[j];
    sums[u] = sum;
  }
}

/* DenseTraining._move */
typedef struct {
  float per_unit, pace, epsilon, l1, l2, shrunk;
} Move;

FAST static void adam(int64_t count, float *w, float *m, float *v, const float *slopes, Move move) {
  for (int64_t i = 0; i < count; i++) {
    float g = slopes[i] + w[i] * move.l2;
    m[i] = m[i] * 0.9f + g;
    v[i] = v[i] * 0.999f + g * g;
    w[i] = w[i] * move.shrunk - m[i] / (sqrtf(v[i]) + move.epsilon) * move.pace;
  }
}

FAST static void adam_with_l1(int64_t count, float *w, float *m, float *v, const float *slopes, Move move) {
  for (int64_t i = 0; i < count; i++) {
    float g = slopes[i] + w[i] * move.l2;
    m[i] = m[i] * 0.9f + g;
    v[i] = v[i] * 0.999f + g * g;
    float other = sqrtf(v[i]) + move.epsilon, moved = w[i] * move.shrunk - m[i] / other * move.pace;
    float rest = fabsf(moved) - move.per_unit * move.l1 / other;
    w[i] = copysignf(rest < 0 ? 0 : rest, moved);
  }
}

/* as in table.py: what is divided by in the place of zero, and steps of Newton's method */
#define LEAST 1e-30f
enum { NEWTON_STEPS = 3 };

/* by what each weight's step is bent: the learning rate by the size of its step; and how hard it pulls with that */
FAST static void bend_weights(int64_t count, const float *v, const float *kernel, float root, float *bend, float *pull) {
  for (int64_t i = 0; i < count; i++) {
    bend[i] = sqrtf(v[i]) * root + 1e-8f;
    pull[i] = bend[i] * kernel[i];
  }
}

/* sums over the units of each input: of pull^2, and of bend * pull^2 */
FAST static void sum_pulls(int64_t units, int64_t width, const float *bend, const float *pull, float *first, float *second) {
  memset(first, 0, width * sizeof(float)), memset(second, 0, width * sizeof(float));
  for (int64_t u = 0; u < units; u++, bend += width, pull += width)
    for (int64_t j = 0; j < width; j++) {
      float square = pull[j] * pull[j];
      first[j] += square, second[j] += bend[j] * square;
    }
}

/* likewise of rest^2 and rest^2 * bend / whole, where whole is bend * length + threshold and rest is pull / whole */
FAST static void sum_rests(int64_t units, int64_t width, const float *bend, const float *pull, const float *lengths,
                           const float *thresholds, float *first, float *second) {
  memset(first, 0, width * sizeof(float)), memset(second, 0, width * sizeof(float));
  for (int64_t u = 0; u < units; u++, bend += width, pull += width)
    for (int64_t j = 0; j < width; j++) {
      float whole = bend[j] * lengths[j] + thresholds[j], inverse = 1 / (whole + (whole < LEAST ? LEAST : 0));
      float rest = pull[j] * inverse;
      rest *= rest;
      first[j] += rest, second[j] += rest * (bend[j] * inverse);
    }
}

FAST static void shrink_weights(int64_t units, int64_t width, const float *bend, const float *lengths,
                                const float *thresholds, float *kernel) {
  for (int64_t u = 0; u < units; u++, bend += width, kernel += width)
    for (int64_t j = 0; j < width; j++) {
      float whole = bend[j] * lengths[j] + thresholds[j];
      whole += whole < LEAST ? LEAST : 0;
      kernel[j] *= 1 - thresholds[j] / whole;
    }
}

/* sums of inputs become those of their columns */
static void sum_columns(const Networks *net, const float *by_input, float *by_column) {
  memset(by_column, 0, net->grouped * sizeof(float));
  for (int64_t j = 0; j < net->sizes[0]; j++) by_column[net->columns[j]] += by_input[j];
}

/* InputGroups of input_groups.py: `threshold` is the rate times the strength; `room` is [2 units + 6, d] */
static void shrink_columns(const Networks *net, float *kernel, const float *v, float root, float threshold, float *room) {
  int64_t units = net->sizes[1], width = net->sizes[0];
  float *bend = room, *pull = bend + units * width, *lengths = pull + units * width, *thresholds = lengths + width;
  float *first = thresholds + width, *second = first + width, *sums = second + width, *others = sums + width;
  bend_weights(units * width, v, kernel, root, bend, pull);
  sum_pulls(units, width, bend, pull, first, second);
  sum_columns(net, first, sums), sum_columns(net, second, others);
  for (int64_t j = 0; j < width; j++) {
    int64_t c = net->columns[j];
    float total = sqrtf(sums[c]), over = total - (thresholds[j] = threshold * net->roots[c]);
    lengths[j] = over > 0 ? over * (total * total) / (others[c] + (others[c] < LEAST ? LEAST : 0)) : 0;
  }
  for (int step = 0; step < NEWTON_STEPS; step++) {
    sum_rests(units, width, bend, pull, lengths, thresholds, first, second);
    sum_columns(net, first, sums), sum_columns(net, second, others);
    for (int64_t j = 0; j < width; j++) {
      int64_t c = net->columns[j];
      float norm = sqrtf(sums[c]);
      if (lengths[j] != 0) lengths[j] += (norm - 1) * (norm * norm) / (others[c] + (others[c] < LEAST ? LEAST : 0));
    }
  }
  shrink_weights(units, width, bend, lengths, thresholds, kernel);
}

static void move_weights(const Networks *net, int64_t s, float *w, float *m, float *v, const float *slopes,
                         double count, float factor, float *columns) {
  double root = sqrt((1 - 0.999) / (1 - pow(0.999, count)));
  float rate = net->rates[s] * factor, per_unit = rate * (float)(1 / root);
  Move move = {per_unit, per_unit * (float)((1 - 0.9) / (1 - pow(0.9, count))), (float)(1e-8 / root), 0, 0, 1};
  int64_t at = 0;
  for (int64_t l = 0; l < net->layers; l++) {
    int64_t number = net->sizes[l] * net->sizes[l + 1], place = s * net->layers + l;
    move.l1 = net->l1 ? net->l1[place] : 0;
    move.l2 = net->l2 ? net->l2[place] : 0;
    move.shrunk = 1 - rate * (net->decay ? net->decay[place] : 0);
    (move.l1 > 0 ? adam_with_l1 : adam)(number, w + at, m + at, v + at, slopes + at, move);
    if (l == 0 && net->shrunk && net->shrunk[s] > 0)
      shrink_columns(net, w, v, (float)root, rate * net->shrunk[s], columns);
    at += number;
  }
  int64_t scales = net->scaled ? net->sizes[0] : 0, biases = net->count - scales - at;
  move.l1 = move.l2 = 0, move.shrunk = 1;
  adam(biases, w + at, m + at, v + at, slopes + at, move);
  if (!net->paces || net->paces[s] == 0) return;
  at += biases, move.pace *= net->paces[s];
  adam(scales, w + at, m + at, v + at, slopes + at, move);
}

/* the arrays of a step; levels and what is seen are NULL where nothing is dropped, counts where all rows count alike,
   the first kernel times the scales of its inputs where none is learned, what shrinks columns where none is shrunk */
typedef struct {
  float *inputs, *across, *targets, *counts, *values, *way, *below, *slopes, *sums, *seen, *first, *columns;
  uint32_t *units, *weights;
  int64_t batch;
} Room;

/* Numbers of a product along the rows of both sides; larger ones OpenBLAS copies, unless the left side is turned, which
   is a gain of a tenth with AVX-512 and costs a hundredth without. */
enum { MOST_AS_THEY_LIE = 1200 };

static int64_t units_in_all(const Networks *net) {
  int64_t units = 0;
  for (int64_t l = 1; l <= net->layers; l++) units += net->sizes[l];
  return units;
}

/* where the biases begin, and with them the kernels end */
static int64_t first_bias(const Networks *net) {
  return net->count - (net->scaled ? net->sizes[0] : 0) - units_in_all(net);
}

/* Rows that go through a network at a time. OpenBLAS multiplies small matrices (at most 100^3 products) as they lie,
   and copies larger ones first, which costs as much as a third more; no smaller than what fills its loops. */
static int64_t rows_at_once(const Networks *net, int64_t rows) {
  int64_t largest = 1, most, parts;
  for (int64_t l = 0; l < net->layers; l++)
    largest = net->sizes[l] * net->sizes[l + 1] > largest ? net->sizes[l] * net->sizes[l + 1] : largest;
  most = 1000000 / largest / 16 * 16, parts = most ? (rows + most - 1) / most : 1;
  return most < 32 || parts < 2 ? rows : ((rows + parts - 1) / parts + 15) / 16 * 16;
}

/* rows [rows, width] become columns, sixteen at once */
FAST static void turn(int64_t rows, int64_t width, const float *inputs, float *across) {
  int64_t i = 0;
  for (; i + 16 <= rows; i += 16)
    for (int64_t j = 0; j < width; j++)
      for (int k = 0; k < 16; k++) across[j * rows + i + k] = inputs[(i + k) * width + j];
  for (; i < rows; i++)
    for (int64_t j = 0; j < width; j++) across[j * rows + i] = inputs[i * width + j];
}

/* values of all layers for the inputs [d, rows], with the noise of a step for the rows from `from` on, if there is a
   room with it; the first kernel may lie apart from the others; returns the last ones */
static float *forward(const Networks *net, int64_t s, const float *first, const float *kernels, const float *biases,
                      const float *inputs, int64_t rows, const Room *room, int64_t from, float *out) {
  const uint32_t *levels = room && room->units ? room->units + from : 0;
  for (int64_t l = 0; l < net->layers; l++) {
    int64_t units = net->sizes[l + 1], into = net->sizes[l], hidden = s * (net->layers - 1) + l;
    product(net, AS_IS, AS_IS, units, rows, into, l ? kernels : first, inputs, 0, out);
    if (l == net->layers - 1)
      add_bias(units, rows, out, biases);
    else if (levels)
      rectify_and_drop(units, rows, out, biases, levels, room->batch, net->unit_level[hidden], net->unit_factor[hidden]);
    else
      rectify(units, rows, out, biases);
    if (levels) levels += units * room->batch;
    inputs = out, out += units * rows, kernels += units * into, biases += units;
  }
  return out - net->sizes[net->layers] * rows;
}

/* the slopes of the mean loss (times what rows count) of a batch by the weights of a network: those of some rows, added
   to earlier ones' */
static void backpropagate(const Networks *net, const Room *room, int64_t s, const float *first, const float *weights,
                          int64_t from, int64_t rows) {
  int64_t at = first_bias(net), bias = at + units_in_all(net);
  const float *kernels = room->seen ? room->seen : weights, *biases = weights + at;
  float *way = room->way, *below = room->below, weight = 1.0f / room->batch;
  float *values = forward(net, s, first, kernels, biases, room->across + from * net->sizes[0], rows, room, from, room->values);
  memcpy(way, values, net->sizes[net->layers] * rows * sizeof(float));
  if (net->classes)
    log_loss_slope(net->classes, rows, way, (const int32_t *)room->targets + from, weight, room->sums);
  else
    (net->labels ? label_loss_slope : squared_error_slope)(net->targets, rows, way, room->targets + from * net->targets,
                                                           weight);
  if (room->counts) weigh(net->sizes[net->layers], rows, way, room->counts + from);
  for (int64_t l = net->layers - 1; l >= 0; l--) {
    int64_t out = net->sizes[l + 1], into = net->sizes[l];
    at -= out * into, bias -= out;
    values = l ? values - into * rows : room->inputs + from * into;
    int turned = l && out * into > MOST_AS_THEY_LIE;
    if (turned) turn(out, rows, way, below);
    product(net, turned ? TRANSPOSED : AS_IS, l ? TRANSPOSED : AS_IS, out, into, rows, turned ? below : way, values,
            from > 0, room->slopes + at);
    sum_rows(out, rows, way, from > 0, room->slopes + bias);
    if (l == 0) return;
    product(net, TRANSPOSED, AS_IS, into, rows, out, kernels + at, way, 0, below);
    gate(into * rows, below, values, room->units ? net->unit_factor[s * (net->layers - 1) + l - 1] : 1);
    float *used = way;
    way = below, below = used;
  }
}

/* the same for a whole batch, with the weights that stay in this step */
static void find_slopes(const Networks *net, const Room *room, int64_t s, const float *weights) {
  int64_t step = rows_at_once(net, room->batch), place = s * net->layers, units = net->sizes[1], width = net->sizes[0];
  const float *kernel = room->seen ? room->seen : weights, *scales = weights + net->count - width;
  int scaled = room->first && net->paces[s] > 0; /* else all scales are 1 */
  for (int64_t l = 0, at = 0; room->seen && l < net->layers; at += net->sizes[l] * net->sizes[l + 1], l++)
    drop_weights(net->sizes[l] * net->sizes[l + 1], weights + at, room->weights + at, net->weight_level[place + l],
                 net->weight_factor[place + l], room->seen + at);
  if (scaled) scale_inputs(units, width, kernel, scales, room->first);
  for (int64_t from = 0; from < room->batch; from += step)
    backpropagate(net, room, s, scaled ? room->first : kernel, weights, from,
                  from + step < room->batch ? step : room->batch - from);
  if (scaled) unscale_slopes(units, width, kernel, scales, room->slopes, room->slopes + net->count - width);
  for (int64_t l = 0, at = 0; room->seen && l < net->layers; at += net->sizes[l] * net->sizes[l + 1], l++)
    drop_weights(net->sizes[l] * net->sizes[l + 1], room->slopes + at, room->weights + at, net->weight_level[place + l],
                 net->weight_factor[place + l], room->slopes + at);
}

/* floats that fitwell_train and fitwell_outputs work in, with so many rows */
int64_t fitwell_room(const Networks *net, int64_t rows) {
  int64_t first = net->scaled ? net->sizes[0] * net->sizes[1] : 0, weights = (net->weight_level ? 3 : 1) * net->count;
  int64_t columns = net->shrunk ? net->sizes[0] * (2 * net->sizes[1] + 6) : 0;
  return rows * (2 * net->sizes[0] + 4 * units_in_all(net) + 3 + net->targets) + weights + first + columns;
}

static Room cut_up(const Networks *net, int64_t rows, int counted, float *room) {
  int64_t units = units_in_all(net) * rows, inputs = rows * net->sizes[0];
  Room cut = {.batch = rows, .inputs = room, .across = room + inputs, .slopes = room + 2 * inputs};
  cut.values = cut.slopes + net->count;
  cut.way = cut.values + units, cut.below = cut.way + units, cut.targets = cut.below + units;
  cut.sums = cut.targets + rows * net->targets;
  float *at = cut.sums + 2 * rows;
  if (net->unit_level) cut.units = (uint32_t *)at, at += units;
  if (net->weight_level) cut.seen = at, cut.weights = (uint32_t *)(at + net->count), at += 2 * net->count;
  if (net->paces) cut.first = at, at += net->sizes[0] * net->sizes[1];
  if (net->shrunk) cut.columns = at, at += net->sizes[0] * (2 * net->sizes[1] + 6);
  if (counted) cut.counts = at;
  return cut;
}

/* noise that all strengths share */
static void draw_noise(const Networks *net, const Room *room, Key key) {
  for (int64_t l = 0, at = 0; room->units && l < net->layers - 1; at += room->batch * net->sizes[++l])
    draw_levels(folded(key, 2 + l), room->batch * net->sizes[l + 1], room->units + at);
  /* among the leaves of the variables a layer's bias comes before its kernel */
  for (int64_t l = 0, at = 0; room->seen && l < net->layers; at += net->sizes[l] * net->sizes[l + 1], l++)
    draw_levels(folded(folded(key, 1), 2 * l + 1), net->sizes[l] * net->sizes[l + 1], room->weights + at);
}

/* the rows of a step, along the order from `begun` on, as they are and turned */
static void gather(const Networks *net, const Room *room, const float *inputs, const float *targets,
                   const float *counts, const int64_t *order, int64_t ordered, int64_t begun) {
  int64_t width = net->sizes[0], rows = room->batch, step = rows_at_once(net, rows);
  for (int64_t i = 0; i < rows; i++) {
    int64_t row = order[(begun + i) % ordered];
    memcpy(room->inputs + i * width, inputs + row * width, width * sizeof(float));
    memcpy(room->targets + i * net->targets, targets + row * net->targets, net->targets * sizeof(float));
    if (counts) room->counts[i] = counts[row];
  }
  for (int64_t from = 0; from < rows; from += step)
    turn(from + step < rows ? step : rows - from, width, room->inputs + from * width, room->across + from * width);
}

/* Takes steps with batches of `rows`, along an order that begins anew where it ends. `begun` steps were taken before;
   weights and moments are [S, P], inputs [n, d], targets [n] or [n, k] (4 bytes each), what rows count [n] (NULL is 1),
   factors of the learning rates [steps]. Noise is that of the epoch's steps from number `earlier` on. */
void fitwell_train(const Networks *net, float *weights, float *means, float *squares, int64_t begun, int64_t earlier,
                   int64_t steps, const float *factors, const float *inputs, const float *targets, const float *counts,
                   const int64_t *order, int64_t ordered, int64_t rows, uint32_t first, uint32_t second, float *room) {
  Room cut = cut_up(net, rows, counts != 0, room);
  for (int64_t step = 0; step < steps; step++) {
    gather(net, &cut, inputs, targets, counts, order, ordered, step * rows);
    draw_noise(net, &cut, folded((Key){first, second}, 1 + earlier + step));
    for (int64_t s = 0, at = 0; s < net->strengths; s++, at += net->count) {
      find_slopes(net, &cut, s, weights + at);
      move_weights(net, s, weights + at, means + at, squares + at, cut.slopes, begun + step + 1, factors[step],
                   cut.columns);
    }
  }
}

/* raw outputs [S, k, rows] without noise */
void fitwell_outputs(const Networks *net, const float *weights, const float *inputs, int64_t rows, float *outputs,
                     float *room) {
  int64_t k = net->sizes[net->layers], step = rows_at_once(net, rows), bias = first_bias(net), width = net->sizes[0];
  float *values = room + step * width, *scaled = values + step * units_in_all(net);
  for (int64_t from = 0; from < rows; from += step) {
    int64_t some = from + step < rows ? step : rows - from;
    turn(some, width, inputs + from * width, room);
    for (int64_t s = 0; s < net->strengths; s++) {
      const float *mine = weights + s * net->count;
      if (net->scaled) scale_inputs(net->sizes[1], width, mine, mine + net->count - width, scaled);
      const float *found = forward(net, s, net->scaled ? scaled : mine, mine, mine + bias, room, some, 0, 0, values);
      for (int64_t c = 0; c < k; c++)
        memcpy(outputs + (s * k + c) * rows + from, found + c * some, some * sizeof(float));
    }
  }
}
