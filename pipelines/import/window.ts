import type { Sides } from "../../algorithms/network.js";
import type { Window } from "../network/index.js";
import type { Source } from "./importing.js";

/**
 * The window of a convolution or pool, from its attributes.
 *
 * @param extent rows and columns of the image
 * @param size rows and columns of the weights, where kernel_shape may be left out
 */
export function readWindow(
  source: Source,
  extent: readonly [number, number],
  size?: readonly [number, number],
): Window {
  const pair = (name: string, otherwise: readonly [number, number]): [number, number] => {
    const [rows = otherwise[0], columns = otherwise[1], ...others] = source.ints(name) ?? [];
    if (others.length > 0 || rows < 1 || columns < 1)
      source.fail(`has ${name} [${(source.ints(name) ?? []).join()}]; two numbers are needed`);
    return [rows, columns];
  };
  if (size === undefined && source.ints("kernel_shape") === undefined)
    source.fail("has no kernel_shape");
  const kernel = pair("kernel_shape", size ?? [1, 1]);
  if (size !== undefined && kernel.join() !== size.join())
    source.fail(`has kernel_shape [${kernel.join()}] and weights of [${size.join()}]`);
  const stride = pair("strides", [1, 1]);
  const dilation = pair("dilations", [1, 1]);
  return { size: kernel, stride, dilation, padding: paddingOf() };

  function paddingOf(): Sides {
    const automatic = source.text("auto_pad", "NOTSET");
    if (automatic === "NOTSET" || automatic === "") {
      const [top = 0, left = 0, bottom = 0, right = 0, ...others] = source.ints("pads") ?? [];
      if (others.length > 0 || Math.min(top, left, bottom, right) < 0)
        source.fail(`has pads [${(source.ints("pads") ?? []).join()}]`);
      return [top, left, bottom, right];
    }
    if (automatic === "VALID") return [0, 0, 0, 0];
    if (automatic !== "SAME_UPPER" && automatic !== "SAME_LOWER")
      source.fail(`has auto_pad "${automatic}"`);
    const [rows, columns] = [missing(0), missing(1)];
    const less = (total: number) => Math.floor(total / 2);
    return automatic === "SAME_UPPER"
      ? [less(rows), less(columns), rows - less(rows), columns - less(columns)]
      : [rows - less(rows), columns - less(columns), less(rows), less(columns)];
  }

  /** What an axis lacks for as many results as strides fit into it. */
  function missing(axis: 0 | 1): number {
    const results = Math.ceil(extent[axis] / stride[axis]);
    const reach = (kernel[axis] - 1) * dilation[axis] + 1;
    return Math.max(0, (results - 1) * stride[axis] + reach - extent[axis]);
  }
}
