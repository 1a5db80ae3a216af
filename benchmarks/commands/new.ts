import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Option, type Command } from "commander";
import { writeAtomically } from "../../results/writeAtomically.js";
import { unknownName } from "../lookup.js";
import { print } from "./exit.js";
import { writeNew } from "./init.js";

const { resolve } = createRequire(import.meta.url);

/** Folders of what can be added. */
const FOLDERS: Readonly<Record<string, string>> = { algorithm: "algorithms", backend: "backends" };

export function addNew(program: Command): void {
  program
    .command("new")
    .description("add a working algorithm or backend with its test to a source checkout")
    .argument("<what>", Object.keys(FOLDERS).join(" | "))
    .argument("<name>", "camelCase; names the file and what it exports")
    .addOption(
      new Option("--kind <kind>", "of an algorithm: a rule for grids, or a search of bits")
        .choices(["grid", "search"])
        .default("grid"),
    )
    .addHelpText(
      "after",
      `
Examples:
  quantbench new algorithm myRounding
  npm run build && quantbench check algorithm myRounding
  quantbench try myRounding

  quantbench new algorithm mySearch --kind search
  quantbench new backend myChip`,
    )
    .action(async (what: string, name: string, { kind }: { readonly kind: string }) => {
      const folder = FOLDERS[what];
      if (folder === undefined) throw new Error(unknownName("kind", what, Object.keys(FOLDERS)));
      if (!/^[a-z][a-zA-Z0-9]*$/.test(name))
        throw new Error(
          `"${name}" must be a camelCase name of letters and digits, such as myRounding`,
        );
      if (kind === "search" && what !== "algorithm")
        throw new Error(`--kind search is for algorithms, not for a ${what}`);
      const template = kind === "search" ? kind : what;
      const index = join(folder, "index.ts");
      const list = await readFile(index, "utf8").catch((error: unknown) => {
        throw new Error(`${index} is not here; run this in a checkout of quantbench's source`, {
          cause: error,
        });
      });
      const files = [
        { path: join(folder, `${name}.ts`), from: `${template}.txt` },
        { path: join("test", folder, `${name}.test.ts`), from: `${template}.test.txt` },
      ];
      for (const { path, from } of files) {
        const source = resolve(`#package/benchmarks/templates/${from}`);
        const text = (await readFile(source, "utf8")).replaceAll("__name__", name);
        await writeNew(path, text);
        print(`wrote ${path}`);
      }
      await writeAtomically(index, withEntry(list, name));
      print(`added ${name} to ${index}; npm run build makes it known`);
    });
}

/** A list's file with one more import and one more entry at its end. */
function withEntry(list: string, name: string): string {
  const lastImport = [...list.matchAll(/^import .*\n/gm)].at(-1);
  const end = list.lastIndexOf("\n];");
  if (lastImport === undefined || end < 0)
    throw new Error("the list has another form than expected");
  const afterImports = lastImport.index + lastImport[0].length;
  return [
    list.slice(0, afterImports),
    `import { ${name} } from "./${name}.js";\n`,
    list.slice(afterImports, end),
    `\n  ${name},`,
    list.slice(end),
  ].join("");
}
