import { join, resolve } from "node:path";
import { Option, type Command } from "commander";
import { artefactFormats, writeArtefact } from "../../pipelines/export/index.js";
import { inert } from "../../reports/inert.js";
import { cellName, RunDirectory } from "../../results/store.js";
import { makeDirectory } from "../../results/makeDirectory.js";
import { writeAtomically } from "../../results/writeAtomically.js";
import { fastestCell, frozenCell, servedPlanes } from "../cell/index.js";
import { contextFor, findCell } from "../stored/index.js";
import { print } from "./exit.js";
import { positive } from "./optionValues.js";
import { tuningJson, tuningText } from "./tuningText.js";

interface ExportFlags {
  readonly format: string;
  readonly out: string;
  readonly data?: string;
  readonly bits?: number;
  readonly planes?: true;
  readonly tune?: "latency";
  readonly json?: true;
}

export function addExport(program: Command): void {
  program
    .command("export")
    .description("write a cell's network in the form that a toolchain reads, and read it back")
    .argument("<directory>", "a run directory")
    .argument("<cell>", "the start of a cell's id, or its name as runs print it")
    .addOption(
      new Option("--format <name>", "which form")
        .choices(artefactFormats.map(({ name }) => name))
        .default("onnx"),
    )
    .option("--out <dir>", "where to", "artefacts")
    .option("--planes", "instead one file for all bits of weights that the network serves")
    .addOption(
      new Option(
        "--tune <what>",
        "instead the ONNX form that onnxruntime runs fastest on this machine, by trying",
      )
        .choices(["latency"])
        .conflicts(["format", "planes", "bits"]),
    )
    .option("--json", "print what --tune tried as JSON")
    .option("--bits <n>", "bits of weights, of a network that serves several", positive)
    .option("--data <dir>", "where data sets lie that are not embedded (or QUANTBENCH_DATA)")
    .addHelpText(
      "after",
      `
Forms:
${artefactFormats.map(({ name, title, backends }) => `  ${name.padEnd(9)} ${title} (${backends.join(", ")})`).join("\n")}

Examples:
  quantbench export results/runs/quick 3f2a91
  quantbench export results/runs/quick 3f2a91 --format snpe --out handover
  quantbench export results/runs/quick 3f2a91 --tune latency
  quantbench export results/runs/search 8c01d7 --bits 3   one network of Vertical Layering, at 3 bits

Every quantizer is read back from what was written and compared with the trained one; a form that
cannot hold it is an error that says why. Checkpoints that are no longer there are computed again.

--tune latency times forms by turns, one image at a time on one thread: QuantizeLinear pairs, these with kinds of layers in float,
QLinear operators, the float network. Integers stay only where they gain at least 2 %; where they gain nothing, the
float network is written. What is written predicted the test set here as its simulation does; what does not is left out.`,
    )
    .action(async (path: string, id: string, flags: ExportFlags) => {
      const { format: name, out, data, bits, planes, tune, json } = flags;
      if (json && !tune) throw new TypeError("--json is for --tune");
      const format = artefactFormats.find((entry) => entry.name === name);
      if (format === undefined) throw new Error(`no format "${name}"`);
      const directory = new RunDirectory(path);
      const stored = findCell([...(await directory.readCells()).values()], id);
      const { cell, context } = await contextFor(stored, {
        dataDirectory: data,
        stored: directory,
        directory,
        onStage: (stage) => {
          process.stderr.write(`${stage}\n`);
        },
      });
      const own = cellName(stored);
      const fastest = tune && (await fastestCell(cell, context));
      const files = planes
        ? new Map([[`${own}.planes.safetensors`, await servedPlanes(cell, context)]])
        : fastest
          ? new Map([[`${own}.tuned.onnx`, fastest.model]])
          : writeArtefact(
              format,
              await frozenCell(cell, context, bits),
              bits === undefined ? own : `${own}-w${String(bits)}`,
            );
      await makeDirectory(resolve(out));
      for (const [file, content] of files) {
        await writeAtomically(join(out, file), content);
        if (!json) print(join(out, file));
        if (fastest)
          print(
            json
              ? JSON.stringify(tuningJson(fastest, join(out, file)), null, 2)
              : inert(tuningText(fastest)),
          );
      }
    });
}
