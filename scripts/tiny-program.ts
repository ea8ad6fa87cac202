/**
 * A whole Linux program for amd64 in a few hundred bytes: prints `message` and exits with 0. It lets an
 * image be made on the spot that a real engine can run, with no compiler and no network.
 */
export function tinyProgram(message: string): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(message);
  const code = [
    [0xb8, ...le32(1)], // mov eax, 1 (write)
    [0xbf, ...le32(1)], // mov edi, 1 (stdout)
    [0x48, 0x8d, 0x35, ...le32(16)], // lea rsi, [rip + 16], the text behind the code
    [0xba, ...le32(text.length)], // mov edx, length
    [0x0f, 0x05], // syscall
    [0xb8, ...le32(60)], // mov eax, 60 (exit)
    [0x31, 0xff], // xor edi, edi
    [0x0f, 0x05], // syscall
  ].flat();
  const headers = 64 + 56;
  const base = 0x40_00_00;
  const size = headers + code.length + text.length;
  const elfHeader = [
    [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0], // 64 bit, little-endian, version 1
    le64(0),
    le16(2), // executable
    le16(62), // x86-64
    le32(1),
    le64(base + headers), // entry
    le64(64), // the program header follows at once
    le64(0), // no sections
    le32(0),
    [64, 56, 1, 64, 0, 0].flatMap(le16),
  ].flat();
  // One segment: the whole file, readable and executable.
  const programHeader = [[1, 5].flatMap(le32), [0, base, base, size, size, 0x10_00].flatMap(le64)];
  return new Uint8Array([...elfHeader, ...programHeader.flat(), ...code, ...text]);
}

const littleEndian =
  (bytes: number) =>
  (value: number): number[] =>
    Array.from({ length: bytes }, (_, index) => Math.floor(value / 256 ** index) % 256);
const le16 = littleEndian(2);
const le32 = littleEndian(4);
const le64 = littleEndian(8);
