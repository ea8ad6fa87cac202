/**
 * A small fast source of bytes that no compressor finds anything in, the same for the same seed: sfc32
 * (Chris Doty-Humphrey, PractRand). Not for secrets.
 */
export interface RandomBytes {
  /** Overwrites all words with random ones. */
  into(words: Uint32Array): void;
  /** A whole number from `min` to `max`, both included. */
  between(min: number, max: number): number;
}

/** A source for each `stream` of a seed, independent of the others. */
export function randomBytes(seed: number, stream: number): RandomBytes {
  // A seed may be any safe integer; its upper half counts too.
  const state = {
    a: seed >>> 0,
    b: Math.floor(seed / 2 ** 32) >>> 0,
    c: stream >>> 0,
    counter: 1,
  };
  const fill = (words: Uint32Array): void => {
    let { a, b, c, counter } = state;
    for (let index = 0; index < words.length; index++) {
      const word = (a + b + counter) | 0;
      counter = (counter + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = (((c << 21) | (c >>> 11)) + word) | 0;
      words[index] = word;
    }
    Object.assign(state, { a, b, c, counter });
  };
  // The first outputs still show the seed.
  fill(new Uint32Array(16));
  return {
    into: fill,
    between(min, max) {
      const words = new Uint32Array(2);
      fill(words);
      const [high = 0, low = 0] = words;
      const unit = ((high >>> 11) * 2 ** 32 + low) / 2 ** 53;
      return min + Math.floor(unit * (max - min + 1));
    },
  };
}
