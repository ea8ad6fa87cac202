/** A rectangle in percent of its frame's width and height. */
export interface Rectangle {
  left: number;
  top: number;
  width: number;
  height: number;
}

/**
 * Lays out areas as rectangles that fill a frame and are as square as can be (Bruls, Huizing, van Wijk:
 * Squarified Treemaps, 2000). `areas` are positive, in any unit, the largest first; `aspect` is the frame's
 * width through its height. Returns a rectangle for each, in the order given.
 */
export function layOut(areas: readonly number[], aspect: number): Rectangle[] {
  const total = areas.reduce((sum, area) => sum + area, 0);
  if (total === 0) return [];
  // In a frame of aspect x 1, which is made percent at the end.
  const scale = aspect / total;
  const frame = { left: 0, top: 0, width: aspect, height: 1 };
  const laid: Rectangle[] = [];
  let row: number[] = [];
  const place = (): void => {
    laid.push(...placeRow(row, frame));
    row = [];
  };
  for (const area of areas) {
    const scaled = area * scale;
    const side = Math.min(frame.width, frame.height);
    if (row.length > 0 && worst([...row, scaled], side) > worst(row, side)) place();
    row.push(scaled);
  }
  place();
  return laid.map(({ left, top, width, height }) => ({
    left: (left / aspect) * 100,
    top: top * 100,
    width: (width / aspect) * 100,
    height: height * 100,
  }));
}

/** How far from square the worst rectangle of a row is, along a side. */
function worst(row: readonly number[], side: number): number {
  const sum = row.reduce((total, area) => total + area, 0);
  const [largest, smallest] = [Math.max(...row), Math.min(...row)];
  return Math.max((side ** 2 * largest) / sum ** 2, sum ** 2 / (side ** 2 * smallest));
}

/** Puts a row along the shorter side of what is left of the frame, and takes it off the frame. */
function placeRow(row: readonly number[], frame: Rectangle): Rectangle[] {
  const sum = row.reduce((total, area) => total + area, 0);
  const isColumn = frame.width >= frame.height;
  const [side, room] = isColumn ? [frame.height, frame.width] : [frame.width, frame.height];
  // What is left of the frame is a difference of large numbers: it may be a little less than it should be.
  const depth = side === 0 ? 0 : Math.min(sum / side, room);
  let at = isColumn ? frame.top : frame.left;
  const placed = row.map((area): Rectangle => {
    const length = (side * area) / sum;
    const start = at;
    at += length;
    return isColumn
      ? { left: frame.left, top: start, width: depth, height: length }
      : { left: start, top: frame.top, width: length, height: depth };
  });
  if (isColumn) {
    frame.left += depth;
    frame.width -= depth;
  } else {
    frame.top += depth;
    frame.height -= depth;
  }
  return placed;
}
