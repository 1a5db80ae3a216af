import type { CompiledStep, Engine } from "../engine.js";
import { traced } from "../trace/index.js";
import { Program } from "../trace/program.js";
import { adding } from "./adding.js";
import { Assembly } from "./assembly.js";
import { convolving } from "./convolving.js";
import { depthwise } from "./depthwise.js";
import { kernelsHash } from "./kernels.js";
import { compileStep } from "./machine.js";
import { moving } from "./moving.js";
import { reducing } from "./reducing.js";

/** Raised whenever the same step gives other bits than before by the same kernels. */
const PORTABLE_VERSION = 1;

const ASSEMBLERS = { ...moving, ...reducing, ...convolving, ...depthwise, ...adding };

/**
 * Steps as WebAssembly, whose specification fixes every bit of its arithmetic: the same results on
 * every processor, operating system and version of Node. Kernels for what is many sums of products,
 * loops generated for each step for what is computed element by element; images with channels last,
 * as tfjs has them.
 */
export function portableEngine(): Engine {
  return {
    name: "portable",
    version: `${String(PORTABLE_VERSION)}-${kernelsHash}`,
    compile: (step, signature): Promise<CompiledStep> =>
      traced(step, signature, (backend, { inputs, results, outputs }) => {
        const program = new Program(backend.calls, Object.values(results));
        const assembly = new Assembly(ASSEMBLERS, (info) => backend.hostOf(info));
        const inputBlocks = Object.entries(inputs).map(
          ([name, info]) => [name, assembly.input(info)] as const,
        );
        const blocks = assembly.assemble(program, Object.values(results));
        const outputBlocks = Object.keys(results).flatMap((name, i) => {
          const block = blocks[i];
          return block === undefined ? [] : [[name, block] as const];
        });
        return compileStep({
          ...{ assembly, signature, results: outputs },
          inputs: Object.fromEntries(inputBlocks),
          outputs: Object.fromEntries(outputBlocks),
        });
      }),
  };
}
