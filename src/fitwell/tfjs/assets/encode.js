// Records to a fitwell model's tensors, and its outputs to predictions, by the rules of training. No dependencies.
//
//   const {encode, decode} = require('./encode.js');            Node, CommonJS
//   import {encode, decode} from './encode.mjs';                Node, ES module; bundlers
//   <script src="encode.js"></script>  then  fitwell.encode     browser
//
//   const inputs = encode(schema, {age: 22, sex: 'female', fare: null});     // or an array of records
//   const tensors = inputs.map(({values, shape}) => tf.tensor(values, shape));
//   const outputs = model.predict(tensors.length > 1 ? tensors : tensors[0]);
//   decode(schema, outputs.dataSync());      // [{prediction: 'yes', probabilities: {no: 0.2, yes: 0.8}}]
//
// `schema` is what schema.json holds. null, undefined, NaN, '' and its marks of missing values are missing; dates are
// texts or Date objects, in UTC.

const fitwell = (() => {
  'use strict';

  const FORMATS = [1, 2];  // of schema.json
  const LIMIT = 1e6;  // standard deviations, as in training
  const CLIP = 3;
  const SHOWN = 40;  // characters of a value in a message

  // The space of Unicode, which is not that of JavaScript's trim; Python's strip takes four separators more.
  const SPACE = '\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
  const AROUND = new RegExp(`^[${SPACE}]+|[${SPACE}]+$`, 'g');
  const AROUND_PYTHON = new RegExp(`^[${SPACE}\\x1c-\\x1f]+|[${SPACE}\\x1c-\\x1f]+$`, 'g');
  const strip = text => text.replace(AROUND, '');

  // ---- values ------------------------------------------------------------------------------------------------------

  /** What stops an encoding: one sentence. */
  class RecordError extends Error {
    constructor(message) {
      super(message);
      this.name = 'RecordError';
    }
  }

  const wanted = (what, value) => new RecordError(`expected ${what}, got ${shown(value)}`);

  function shown(value) {
    if (typeof value === 'string') return `'${value.length > SHOWN ? value.slice(0, SHOWN) + '...' : value}'`;
    if (value !== null && typeof value === 'object') return `a value of type ${value.constructor?.name ?? 'Object'}`;
    return typeof value === 'function' ? 'a function' : String(value);
  }

  /** The marks of missing values, as texts and, those that are numbers, as numbers. */
  function marksOf(schema) {
    const texts = new Set([...(schema.missing ?? []), '']);
    return {texts, numbers: new Set([...texts].filter(text => DECIMAL.test(text)).map(Number))};
  }

  /** Whether a value is missing in every kind of column. */
  function missing(value, marks) {
    if (value === null || value === undefined) return true;
    if (typeof value === 'string') return marks.texts.has(strip(value));
    if (typeof value === 'number') return Number.isNaN(value) || marks.numbers.has(value);
    return value instanceof Date && Number.isNaN(value.getTime());
  }

  // ---- numbers, as people write them -------------------------------------------------------------------------------

  const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

  /** What a column of numbers or dates may hold for nothing, in lower case. */
  const BLANKS = new Set([
    '-', '--', '---', '\u2013', '\u2014', '\u2212', '.', '..', '...', '?', 'na', 'n/a', 'n.a.', '<na>', 'nan', '+nan',
    '-nan', 'nat', 'null', '\\n', '#n/a', '#na', '#div/0!', '#value!', '#ref!', '#name?', '#num!', '#null!',
  ]);
  const blank = text => BLANKS.has(text.toLowerCase());

  const GAP = ' \\xa0\\u2007\\u2009\\u202f', QUOTE = "'\\u2019";
  const CURRENCIES = 'US\\$|C\\$|A\\$|R\\$|NZ\\$|HK\\$|S\\$|[$\\xa2-\\xa5\\u20a0-\\u20c0\\uff04]|USD|EUR|GBP|JPY|CHF|CAD|' +
    'AUD|NZD|CNY|INR|BRL|MXN|SEK|NOK|DKK|PLN|CZK|HUF|TRY|ZAR|KRW|SGD|HKD|RUB|kr|z\u0142|K\u010d|Ft|Fr';
  const CLOTHED = new RegExp(
    `^(\\()?[${GAP}]*([+-])?[${GAP}]*(${CURRENCIES})?[${GAP}]*([+-])?[${GAP}]*` +
    `([0-9.,](?:[0-9.,${QUOTE}_${GAP}]*[0-9.,])?(?:[eE][+-]?[0-9]{1,4})?)[${GAP}]*(${CURRENCIES}|%)?[${GAP}]*(\\))?$`);

  /** Numbers with this decimal mark: plain ones, or groups of three that one mark cuts and no zero leads. */
  function numberPattern(decimal, thousands) {
    const marks = [thousands, '_', "'", '\u2019', ' ', '\xa0', '\u2007', '\u2009', '\u202f'];
    const groups = marks.map(mark => `[1-9][0-9]{0,2}(?:${mark}[0-9]{3})+`).join('|');
    const plain = `(?:[0-9]+${decimal}?[0-9]*|${decimal}[0-9]+)(?:[eE][+-]?[0-9]+)?`;
    return new RegExp(`^(?:${plain}|(?:${groups})(?:${decimal}[0-9]*)?)$`);
  }

  const PATTERNS = {'.': numberPattern('\\.', ','), ',': numberPattern(',', '\\.')};
  const BETWEEN = {'.': new RegExp(`[,_${QUOTE}${GAP}]`, 'g'), ',': new RegExp(`[._${QUOTE}${GAP}]`, 'g')};

  /** A number, NaN if it is missing. */
  function toNumber(value, marks, decimal, sign) {
    if (missing(value, marks)) return NaN;
    if (!['number', 'bigint', 'boolean', 'string'].includes(typeof value)) throw wanted('a number', value);
    const number = typeof value === 'string' ? parseNumber(value, decimal, sign) : Number(value);
    if (Math.abs(number) === Infinity) throw wanted('a finite number', value);
    return number;
  }

  function parseNumber(value, decimal, sign) {
    const text = strip(value);
    if (blank(text)) return NaN;
    const found = readNumber(text.replace(/[\u2212\u2013\ufe63\uff0d]/g, '-'), decimal);
    // a bare number is no percentage unless it is 0
    const fits = found && (found.sign === sign || (found.sign === '' && (sign !== '%' || found.number === 0)));
    if (!fits) throw wanted(sign ? `a number with ${sign}` : 'a number', value);
    return found.number;
  }

  function readNumber(text, decimal) {
    if (/^[+-]?inf(inity)?$/i.test(text)) return {sign: '', number: Infinity};
    const found = CLOTHED.exec(text);
    if (!found) return null;
    const [, open, before, left, inner, core, right, close] = found;
    const signs = [open, before, inner].filter(part => part !== undefined).length;
    if ((open === undefined) !== (close === undefined) || (left && right) || signs > 1) return null;
    if (!PATTERNS[decimal].test(core)) return null;
    const number = Number(core.replace(BETWEEN[decimal], '').replace(',', '.'));
    return {sign: left ?? right ?? '', number: open || before === '-' || inner === '-' ? -number : number};
  }

  // ---- categories --------------------------------------------------------------------------------------------------

  const INTEGER = /^[+-]?\p{Nd}+$/u;
  const NUMBER = /^[+-]?(\p{Nd}+\.?\p{Nd}*|\.\p{Nd}+)([eE][+-]?\p{Nd}{1,3})?$/u;
  const EXACT = 1e15;  // below it Python writes whole numbers without ".0"
  const LONGEST = 4000;  // digits of a whole number that Python would still read

  /** The texts that a value may be in Python: one, but for large whole numbers, which are integers or floats there. */
  function canonicalTexts(value) {
    if (typeof value === 'string') return [canonical(strip(value))];
    if (typeof value === 'boolean' || typeof value === 'bigint') return [String(value)];
    if (typeof value !== 'number') throw wanted('a text, a number or a boolean', value);
    if (!Number.isInteger(value) || Math.abs(value) < EXACT) return [floatText(value)];
    if (!Number.isSafeInteger(value)) throw wanted('a text, for JavaScript rounds whole numbers beyond 2^53', value);
    return [String(value), floatText(value)];
  }

  function canonical(written) {
    const text = written.replace(AROUND_PYTHON, '');
    if (/^(true|false)$/i.test(text)) return text.toLowerCase();
    if (INTEGER.test(text)) return [...text].length < LONGEST ? integerText(text) : text;
    return NUMBER.test(text) ? floatText(Number(asciiDigits(text))) : text;
  }

  function integerText(text) {
    const digits = asciiDigits(text).replace(/^[+-]?0*/, '') || '0';
    return text.startsWith('-') && digits !== '0' ? '-' + digits : digits;
  }

  /** A number as Python writes it, whole ones below 1e15 without ".0". */
  function floatText(value) {
    if (Number.isInteger(value) && Math.abs(value) < EXACT) return String(value);
    if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
    const [digits, power] = value.toExponential().split('e');
    if (power >= -4 && power < 16) return String(value) + (Number.isInteger(value) ? '.0' : '');
    return `${digits}e${power[0]}${power.slice(1).padStart(2, '0')}`;
  }

  /** Digits of all scripts, which Unicode orders in runs of ten, as those of ASCII. */
  function asciiDigits(text) {
    return text.replace(/\p{Nd}/gu, digit => {
      const code = digit.codePointAt(0);
      let first = code;
      while (/\p{Nd}/u.test(String.fromCodePoint(first - 1))) first -= 1;
      return String((code - first) % 10);
    });
  }

  const TRUTH = new Map([['false', 0], ['0', 0], ['true', 1], ['1', 1]]);

  function toTruth(value, marks) {
    if (missing(value, marks)) return NaN;
    if (typeof value === 'object' || typeof value === 'function') throw wanted('true or false', value);
    const truth = TRUTH.get(canonicalTexts(value)[0]);
    if (truth === undefined) throw wanted('true or false', value);
    return truth;
  }

  // ---- dates: whole days since 2000-01-01 and microseconds of the day, both exact ----------------------------------

  const DAY = 86400e6;  // microseconds
  const EPOCH = 10957;  // days from 1970-01-01 to 2000-01-01, a Saturday
  const ISO = /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d+))?)?(?:Z|([+-]\d{2}):?(\d{2}))?)?$/;
  const ISO_PARTS = ['Y', 'm', 'd', 'H', 'M', 'S', 'f', 'hours', 'minutes'];
  const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
  const LONG_MONTHS = [
    'january', 'february', 'march', 'april', 'may', 'june', 'july', 'august', 'september', 'october', 'november', 'december',
  ];
  const FIELDS = {
    y: '(\\d{2})', B: `(${[...LONG_MONTHS, ...MONTHS].join('|')})`,
    d: '(\\d{1,2})', m: '(\\d{1,2})', Y: '\\+?(\\d{4})', H: '(\\d{1,2})', I: '(\\d{1,2})', M: '(\\d{1,2})',
    S: '(\\d{1,2})', b: `(${MONTHS.join('|')})`, p: '(am|pm)', '.f': '(?:\\.(\\d+))?',
  };

  /** A pattern for a strptime format, and which part each of its groups is. */
  function datePattern(format) {
    if (format === 'iso') return {pattern: ISO, parts: ISO_PARTS};
    const parts = [];
    const source = format.replace(/%(\.?[a-zA-Z])|( +)|([^%])/g, (_, field, space, other) => {
      if (space) return `[${SPACE}]*`;
      if (other) return other.replace(/[.\\/]/, '\\$&');
      parts.push(field.replace('.', ''));
      return (/[bBp.]/.test(field) ? '' : `[${SPACE}]*`) + FIELDS[field];
    });
    return {pattern: new RegExp(`^${source}$`, 'i'), parts};
  }

  function toMoment(value, marks, patterns) {
    if (missing(value, marks) || (typeof value === 'string' && blank(strip(value)))) return null;
    if (value instanceof Date) return ofDate(value.getTime());
    if (typeof value !== 'string') throw wanted('a date as text (YYYY-MM-DD) or a Date', value);
    for (const {pattern, parts} of patterns) {
      const found = pattern.exec(strip(value));
      const read = found && readDate(Object.fromEntries(parts.map((part, index) => [part, found[index + 1]])));
      if (read) return read;
    }
    throw wanted('a date (YYYY-MM-DD)', value);
  }

  function readDate({Y, y, m, d, b, B, H, I, M, S, f, p, hours, minutes}) {
    const name = b ?? B, year = Y === undefined ? Number(y) + (Number(y) < 70 ? 2000 : 1900) : Number(Y);
    const month = name ? MONTHS.indexOf(name.slice(0, 3).toLowerCase()) + 1 : Number(m), day = Number(d);
    const hour = I === undefined ? Number(H ?? 0) : Number(I) % 12 + (/pm/i.test(p) ? 12 : 0);
    const minute = Number(M ?? 0), second = Number(S ?? 0);
    const first = daysBefore(year, month);
    if (month < 1 || month > 12 || day < 1 || first + day > daysBefore(year, month + 1)) return null;
    if (hour > 23 || minute > 59 || second > 60 || (I !== undefined && (Number(I) < 1 || Number(I) > 12))) return null;
    const ahead = hours === undefined ? 0 : (hours[0] === '-' ? -1 : 1) * (Math.abs(hours) * 60 + Number(minutes));
    const fraction = Number((f ?? '').slice(0, 6).padEnd(6, '0'));
    return moment(first + day - 1, hour * 60 + minute - ahead, second * 1e6 + fraction);
  }

  /** Days from 1970-01-01 to the first of a month; the year is taken to begin in March. */
  function daysBefore(year, month) {
    const y = month > 2 ? year : year - 1;
    const months = month > 2 ? month - 3 : month + 9;
    return 365 * y + Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400) +
      Math.floor((153 * months + 2) / 5) - 719468;
  }

  function ofDate(milliseconds) {
    const days = Math.floor(milliseconds / 86400e3);
    return moment(days, 0, (milliseconds - days * 86400e3) * 1000);
  }

  function moment(days, minutes, microseconds) {
    const within = minutes * 60e6 + microseconds;
    const over = Math.floor(within / DAY);
    return {days: days + over - EPOCH, within: within - over * DAY};
  }

  function yearDay(days) {
    let year = 2000 + Math.floor(days / 365.2425);
    while (daysBefore(year + 1, 1) - EPOCH <= days) year += 1;
    while (daysBefore(year, 1) - EPOCH > days) year -= 1;
    return days - (daysBefore(year, 1) - EPOCH);
  }

  function dateNumbers(found, hasTime) {
    if (found === null) return new Array(hasTime ? 7 : 5).fill(NaN);
    const days = (found.days * DAY + found.within) / DAY;
    const turns = [yearDay(found.days) / 365.25, (((found.days + 5) % 7) + 7) % 7 / 7];  // Monday is 0
    if (hasTime) turns.push(days - Math.floor(days));
    return [days, ...turns.flatMap(turn => [Math.sin(2 * Math.PI * turn), Math.cos(2 * Math.PI * turn)])];
  }

  // ---- records to tensors ------------------------------------------------------------------------------------------

  /** How the columns of each kind are read: a function of a value, to numbers or to a code. */
  const READERS = {
    numeric: ({decimal, sign}, marks) => value => [toNumber(value, marks, decimal || '.', sign ?? '')],
    boolean: (_, marks) => value => [toTruth(value, marks)],
    date: ({format, hasTime}, marks) => {
      const patterns = (format === 'iso' ? ['iso'] : [format, 'iso']).map(datePattern);
      return value => dateNumbers(toMoment(value, marks, patterns), hasTime);
    },
    categorical: ({levels}, marks) => {
      const codes = new Map(levels.map((level, code) => [level, code]));
      return value => {
        if (missing(value, marks)) return levels.length;
        return codes.get(canonicalTexts(value).find(text => codes.has(text))) ?? levels.length + 1;
      };
    },
  };

  function check(schema) {
    if (FORMATS.includes(schema?.format)) return;
    throw new RecordError(`expected a schema of format ${FORMATS.join(' or ')}, got ${schema?.format}: export the model anew`);
  }

  function read(record, column, reader, which) {
    if (!Object.hasOwn(record, column.name)) {
      const lacks = `${which || 'the record'} lacks the column '${column.name}'`;
      throw new RecordError(`${lacks}: give it, as null if its value is not known`);
    }
    try {
      return reader(record[column.name]);
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
      throw new RecordError(`column '${column.name}'${which && ' of ' + which}: ${error.message}`);
    }
  }

  /** The numbers and the places of the codes of one record, before any scaling. */
  function raw(record, columns, readers, which) {
    if (record === null || typeof record !== 'object' || Array.isArray(record)) {
      const expected = 'expected an object with a value for each column';
      throw new RecordError(`${which || 'the record'}: ${expected}, got ${shown(record)}`);
    }
    const numbers = [], places = [];
    let start = 0;
    columns.forEach((column, index) => {
      const found = read(record, column, readers[index], which);
      if (column.kind !== 'categorical') return numbers.push(...found);
      places.push(start + found);
      start += column.levels.length + 2;
    });
    return {numbers, places};
  }

  /** One row of an input, in double precision until it is stored. */
  function fill(row, {numbers, places}, input) {
    numbers.forEach((number, j) => {
      const z = ((Number.isNaN(number) ? input.fill[j] : number) - input.center[j]) / input.scale[j];
      const limited = Math.min(Math.max(z, -LIMIT), LIMIT);
      row[j] = limited / Math.sqrt(1 + (limited / CLIP) * (limited / CLIP));
    });
    input.indicators.forEach((j, index) => { row[numbers.length + index] = Number.isNaN(numbers[j]) ? 1 : 0; });
    places.forEach(place => { row[input.slots[place]] = 1; });
    input.live.forEach((live, j) => { if (!live) row[j] = 0; });
  }

  /**
   * Encode a record, or an array of n of them: [{name, shape: [n, d], values: Float32Array}], one for each input of the
   * model (`name` only where the schema has one). Throws a sentence that names the column and the record, from 1.
   */
  function encode(schema, records) {
    check(schema);
    const many = Array.isArray(records);
    if (many && records.length === 0) throw new RecordError('expected at least one record, got an empty array');
    const marks = marksOf(schema);
    const readers = schema.columns.map(column => READERS[column.kind](column, marks));
    const found = (many ? records : [records]).map((record, index) =>
      raw(record, schema.columns, readers, many ? `record ${index + 1}` : ''));
    return schema.inputs.map(input => {
      const width = input.live.length;
      const values = new Float32Array(found.length * width);
      found.forEach((one, index) => fill(values.subarray(index * width, (index + 1) * width), one, input));
      return {...(input.name === undefined ? {} : {name: input.name}), shape: [found.length, width], values};
    });
  }

  // ---- outputs to predictions --------------------------------------------------------------------------------------

  /** log(1 + exp(x)) without overflow. */
  const softplus = x => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

  function softmax(row) {
    const largest = Math.max(...row);
    const powers = row.map(value => Math.exp(value - largest));
    const sum = powers.reduce((one, two) => one + two, 0);
    return powers.map(power => power / sum);
  }

  /** What an output is: how many numbers it has for k classes, and their probabilities. */
  const HEADS = {
    probabilities: {width: k => k, probabilities: row => row},
    logits: {width: k => k, probabilities: softmax},
    probability: {width: () => 1, probabilities: ([p]) => [1 - p, p]},
    logit: {width: () => 1, probabilities: ([x]) => [Math.exp(-softplus(x)), Math.exp(-softplus(-x))]},
    values: {width: () => 1},
  };

  /**
   * Decode what the model gave for n records, a flat or nested array: [{prediction, probabilities}], the probabilities
   * by class; of a regression [{prediction}]. Of several targets both are by target: values, or labels and the
   * probabilities of the second one.
   */
  function decode(schema, values) {
    check(schema);
    const flat = Float32Array.from(Array.from(values).flat(Infinity));
    const head = HEADS[schema.head];
    const width = schema.outputs?.length ?? head.width(schema.classes.length);
    if (flat.length === 0 || flat.length % width !== 0) {
      throw new RecordError(`expected outputs of ${width} for each record, got ${flat.length} numbers in all`);
    }
    return Array.from({length: flat.length / width}, (_, index) => {
      const row = Array.from(flat.subarray(index * width, (index + 1) * width));
      if (schema.outputs) return decidedEach(schema, row);
      if (schema.task === 'classification') return decided(schema, head.probabilities(row));
      // numbers here are float64, and hold apart what the model's float32 cannot
      return {prediction: (schema.shift ?? 0) + (schema.scale ?? 1) * row[0]};
    });
  }

  function decided(schema, exact) {
    const probabilities = exact.map(Math.fround);  // as in Python, where equal ones are a tie, which the first wins
    const best = probabilities.indexOf(Math.max(...probabilities));
    if (best < 0) throw new RecordError(`expected probabilities, got ${probabilities.join(', ')}`);
    const named = Object.fromEntries(schema.classes.map((name, index) => [name, probabilities[index]]));
    return {prediction: schema.labels[best], probabilities: named};
  }

  /** Several targets of one record: a number or a label each. */
  function decidedEach({outputs, task, shift, scale}, row) {
    const byTarget = of => Object.fromEntries(outputs.map((output, index) => [output.name, of(output, index)]));
    if (task === 'regression') {
      const [shifts, scales] = [shift, scale].map(one => Array.isArray(one) ? one : row.map(() => one));
      return {prediction: byTarget((_, index) => shifts[index] + scales[index] * row[index])};
    }
    if (row.some(Number.isNaN)) throw new RecordError(`expected probabilities, got ${row.join(', ')}`);
    const probabilities = byTarget((_, index) => row[index]);
    return {prediction: byTarget(({labels}, index) => labels[row[index] > 0.5 ? 1 : 0]), probabilities};
  }

  return {encode, decode};
})();

if (typeof module === 'object') module.exports = fitwell;  // the last line; in encode.mjs it exports
