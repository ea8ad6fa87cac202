const zero = 0x30;

/** Writes the digits of an integer from 0 on; answers where they end. No text is made of it. */
export function writeNumber(buffer: Uint8Array, number: number, at: number): number {
  let end = at + 1;
  for (let rest = number; rest >= 10; rest = Math.floor(rest / 10)) end += 1;
  for (let digit = end - 1; digit >= at; digit -= 1) {
    buffer[digit] = zero + (number % 10);
    number = Math.floor(number / 10);
  }
  return end;
}
