import * as tf from "#tf";
import {
  checkInputs,
  outputType,
  type CompiledStep,
  type Engine,
  type HostTensor,
} from "./engine.js";

/**
 * An engine that runs steps operation by operation on one of tfjs's own backends.
 *
 * @param backendName a registered tfjs backend: "cpu" (plain JavaScript) or "tensorflow" (native)
 */
export function eagerEngine(
  name: "tfjs" | "tfjs-node",
  backendName: "cpu" | "tensorflow",
  version: string,
): Engine {
  return {
    name,
    version,
    compile(step, signature) {
      const compiled: CompiledStep = {
        async run(inputs) {
          checkInputs(inputs, signature);
          await tf.setBackend(backendName);
          const host: Record<string, HostTensor> = {};
          tf.tidy(() => {
            const tensors = Object.fromEntries(
              Object.entries(inputs).map(([key, { data, shape, dtype }]) => [
                key,
                // The copy keeps tfjs from holding on to memory that its caller may change.
                tf.tensor(data.slice(), [...shape], dtype),
              ]),
            );
            for (const [key, tensor] of Object.entries(step(tensors))) {
              const dtype = outputType(key, tensor.dtype);
              const data = tensor.dataSync<"float32" | "int32">().slice();
              host[key] = { shape: tensor.shape, dtype, data };
            }
          });
          return host;
        },
        release: () => Promise.resolve(),
      };
      return Promise.resolve(compiled);
    },
  };
}
