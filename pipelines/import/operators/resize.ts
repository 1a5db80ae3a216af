import type { FloatOptions } from "../../../algorithms/network.js";
import type { Feature } from "../feature.js";
import type { OperatorReaders, Source } from "../importing.js";

/** Images of another size. */
export const resizes: OperatorReaders = { Resize: readResize, Upsample: readResize };

type ResizeOptions = FloatOptions["resize"];

function readResize(source: Source): Feature {
  const x = source.image(0);
  const [height = 1, width = 1] = x.shape;
  const old = source.opset < 11;
  const scaleInput = old ? 1 : 2;
  const scales =
    source.floats("scales") ??
    (source.has(scaleInput) ? Array.from(source.constant(scaleInput).data) : []);
  const sizes = !old && source.has(3) ? Array.from(source.constant(3).data) : [];
  if (source.ints("axes") !== undefined) source.fail("names its axes, which is not supported");
  const along = (axis: number, extent: number) =>
    sizes.length > 0 ? (sizes[axis] ?? 0) : Math.floor(extent * (scales[axis] ?? 0));
  const [rows, columns] = [along(2, height), along(3, width)];
  if (rows < 1 || columns < 1) source.fail("has neither sizes nor scales");
  const choose = <T extends string>(name: string, otherwise: T, accepted: readonly T[]): T => {
    const found = source.text(name, otherwise);
    return (
      accepted.find((one) => one === found) ??
      source.fail(`has the ${name} "${found}"; supported are ${accepted.join(", ")}`)
    );
  };
  const mode = choose<ResizeOptions["mode"]>("mode", "nearest", ["nearest", "linear"]);
  if (source.int("antialias", 0) !== 0) source.fail("smooths, which is not supported");
  return source.importing.add(source.output, (name) => ({
    ...{ op: "float", name, inputs: [x.node] },
    operation: {
      kind: "resize",
      height: rows,
      width: columns,
      mode,
      coordinates: choose<ResizeOptions["coordinates"]>(
        "coordinate_transformation_mode",
        old ? "asymmetric" : "half_pixel",
        ["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"],
      ),
      nearest: choose<ResizeOptions["nearest"]>(
        "nearest_mode",
        old ? "floor" : "round_prefer_floor",
        ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"],
      ),
    },
  }));
}
