import { mergePlanes, planeSizes, type PlaneWidth, splitPlanes } from "./byte-planes.ts";
import { type KernelLayout, startKernel } from "./plane-kernel.ts";

/** Bytes are encoded by blocks of so many, the last one with what is left. Part of the format. */
export const planeBlockBytes = 1024 * 1024;

/** Memory for one block and its planes. */
export interface PlaneSpace {
  width: PlaneWidth;
  block: Uint8Array<ArrayBuffer>;
  planes: readonly Uint8Array<ArrayBuffer>[];
  /** Sorts so many bytes of the block into the planes, each of which gets as many as `planeSizes` says. */
  split(bytes: number): void;
  /** Puts so many bytes of the block together from the planes: undoes `split`. */
  merge(bytes: number): void;
}

/** Memory of WebAssembly takes much of the address space until it is collected: one of each width is used again. */
const idle = new Map<PlaneWidth, PlaneSpace>();

/** Space for one encoder or decoder, which gives it back. What is not given back is collected as garbage. */
export function takeSpace(width: PlaneWidth): PlaneSpace {
  const space = idle.get(width) ?? vectorSpace(width) ?? plainSpace(width);
  idle.delete(width);
  return space;
}

/** Keeps space for the next one that takes some of this width. Whoever gives it back must not use it any more. */
export function giveBack(space: PlaneSpace): void {
  idle.set(space.width, space);
}

/** A space that splits and merges by vector instructions; undefined where this machine has none. */
export function vectorSpace(width: PlaneWidth): PlaneSpace | undefined {
  const layout = layoutOf(width);
  const kernel = startKernel(layout);
  if (kernel === undefined) return undefined;
  const at = (start: number, bytes: number) => new Uint8Array(kernel.memory, start, bytes);
  return {
    width,
    block: at(layout.block, planeBlockBytes),
    planes: layout.planes.map((start) => at(start, planeBlockBytes / width)),
    split: (bytes) => kernel.split(Math.ceil(bytes / width)),
    merge: (bytes) => kernel.merge(Math.ceil(bytes / width)),
  };
}

function layoutOf(width: PlaneWidth): KernelLayout {
  // A cache keeps addresses that are apart by a power of two in the same few places.
  const apart = planeBlockBytes / width + 256;
  const planes = Array.from({ length: width }, (_, plane) => planeBlockBytes + 256 + plane * apart);
  return { block: 0, planes, size: planeBlockBytes + 256 + width * apart };
}

/** A space that splits and merges in JavaScript, on any machine. */
export function plainSpace(width: PlaneWidth): PlaneSpace {
  const block = new Uint8Array(planeBlockBytes);
  const planes = planeSizes(planeBlockBytes, width).map((size) => new Uint8Array(size));
  const some = (bytes: number) => {
    const sizes = planeSizes(bytes, width);
    return planes.map((plane, index) => plane.subarray(0, sizes[index]));
  };
  return {
    width,
    block,
    planes,
    split: (bytes) => splitPlanes(block.subarray(0, bytes), some(bytes)),
    merge: (bytes) => mergePlanes(some(bytes), block.subarray(0, bytes)),
  };
}
