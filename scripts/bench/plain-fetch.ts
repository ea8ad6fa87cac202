// The floor for a push: `plain-fetch.ts URL FILE CONNECTIONS SLICE_BYTES` sends the file's slices with
// nothing but fetch.
const [url, path, connections, slice] = process.argv.slice(2);
if (url === undefined || path === undefined)
  throw new Error("usage: plain-fetch.ts URL FILE N BYTES");
const file = Bun.file(path);
let next = 0;

async function connection(to: string): Promise<void> {
  while (next < file.size) {
    const start = next;
    next = Math.min(file.size, start + Number(slice));
    const response = await fetch(to, { method: "PATCH", body: file.slice(start, next) });
    if (response.status !== 202) throw new Error(`${to}: ${response.status}`);
  }
}

await Promise.all(Array.from({ length: Number(connections) }, () => connection(url)));
