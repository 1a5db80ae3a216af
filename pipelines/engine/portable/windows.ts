import type { ConvolutionInfo } from "../trace/convolutionInfo.js";

/** One tap of a window: where it lies, from the pixel that the window belongs to, and its weights. */
export interface Tap {
  readonly row: number;
  readonly column: number;
  /** Of its first weight in the filter, in elements. */
  readonly offset: number;
}

/** Images with as much around them as windows reach. */
export interface Frame {
  /** Whether the images themselves are enough. */
  readonly none: boolean;
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
}

export interface Windows {
  readonly taps: readonly Tap[];
  readonly strides: readonly [height: number, width: number];
  readonly out: readonly [height: number, width: number];
}

export function frameOf([h, w]: readonly [number, number], { taps, strides, out }: Windows): Frame {
  const rows = taps.map(({ row }) => row);
  const columns = taps.map(({ column }) => column);
  const top = Math.max(0, -Math.min(...rows));
  const left = Math.max(0, -Math.min(...columns));
  const reach = (axis: 0 | 1, largest: number) => (out[axis] - 1) * strides[axis] + largest + 1;
  const bottom = Math.max(0, reach(0, Math.max(...rows)) - h);
  const right = Math.max(0, reach(1, Math.max(...columns)) - w);
  return {
    none: top + left + bottom + right === 0,
    ...{ top, left, height: top + h + bottom, width: left + w + right },
  };
}

/** Values of a window that lie side by side: where each run begins, and how many pixels it has. */
export function runsOf(taps: readonly Tap[], { top, left, width }: Frame) {
  const place = ({ row, column }: Tap) => (row + top) * width + column + left;
  const starts = taps.filter(({ row, column }, i) => {
    const before = taps[i - 1];
    return before?.row !== row || before.column !== column - 1;
  });
  const length = taps.length / starts.length;
  const even = starts.every((start, i) => start === taps[i * length]);
  return even ? { starts: starts.map(place), length } : { starts: taps.map(place), length: 1 };
}

const inOrder = (a: Tap, b: Tap) => a.row - b.row || a.column - b.column;

/** @param size of one tap's weights, in elements */
export function forwardWindows(info: ConvolutionInfo, size: number): Windows {
  const { filterHeight, filterWidth, dilationHeight, dilationWidth, padInfo } = info;
  const taps: Tap[] = [];
  for (let i = 0; i < filterHeight; i++) {
    for (let j = 0; j < filterWidth; j++) {
      taps.push({
        row: i * dilationHeight - padInfo.top,
        column: j * dilationWidth - padInfo.left,
        offset: (i * filterWidth + j) * size,
      });
    }
  }
  return {
    taps,
    strides: [info.strideHeight, info.strideWidth],
    out: [info.outHeight, info.outWidth],
  };
}

/** Every how-manieth row and column of an input, beginning with these. */
export interface Phase extends Windows {
  readonly row: number;
  readonly column: number;
}

/**
 * How the gradient of an input is computed from that of the output: pixels whose rows and columns
 * leave the same remainders by the strides meet the same taps.
 */
export function backwardPhases(info: ConvolutionInfo, size: number): Phase[] {
  const { strideHeight, strideWidth, inHeight, inWidth } = info;
  const forward = forwardWindows(info, size);
  const phases: Phase[] = [];
  for (let row = 0; row < Math.min(strideHeight, inHeight); row++) {
    for (let column = 0; column < Math.min(strideWidth, inWidth); column++) {
      const taps = forward.taps
        .map((tap) => ({
          row: (row - tap.row) / strideHeight,
          column: (column - tap.column) / strideWidth,
          offset: tap.offset,
        }))
        .filter((tap) => Number.isInteger(tap.row) && Number.isInteger(tap.column))
        .sort(inOrder);
      phases.push({
        ...{ row, column, taps, strides: [1, 1] },
        out: [
          Math.ceil((inHeight - row) / strideHeight),
          Math.ceil((inWidth - column) / strideWidth),
        ],
      });
    }
  }
  return phases;
}
