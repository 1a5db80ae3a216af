import pc from "picocolors";
import type { Algorithm } from "../../algorithms/algorithm.js";
import { algorithms } from "../../algorithms/index.js";
import { backends } from "../../backends/index.js";
import { nativeEngines } from "../../pipelines/engine/index.js";
import { checkAlgorithm, checks, type Finding } from "../../pipelines/conformance/index.js";
import { lookup, unknownName } from "../lookup.js";

/**
 * Prints the conformance report of one algorithm or of all.
 *
 * @returns whether nothing was found
 * @throws Error listing what can be checked
 */
export async function check(what: string, name: string, json: boolean): Promise<boolean> {
  if (what !== "algorithm") throw new Error(unknownName("kind of check", what, ["algorithm"]));
  const chosen: readonly Algorithm[] =
    name === "all" ? algorithms : [lookup("algorithm", name, algorithms)];
  let clean = true;
  const reports: unknown[] = [];
  const engines = await nativeEngines();
  for (const algorithm of chosen) {
    const { places, unsupported, findings, known } = await checkAlgorithm(
      algorithm,
      backends,
      engines,
    );
    clean &&= findings.length === 0;
    if (json) {
      reports.push({
        algorithm: algorithm.name,
        checks: checks.map((entry) => entry.name),
        places,
        knownDefects: known.length,
        unsupported: Object.fromEntries(unsupported),
        findings: findings.map(({ place: { backend, kind, site }, ...finding }) => ({
          ...{ backend, kind, bits: site.scheme.bitWidth },
          ...finding,
        })),
      });
      continue;
    }
    const verdict = findings.length === 0 ? pc.green("ok    ") : pc.red("failed");
    print(
      `${verdict} ${pc.bold(algorithm.name)}: ${String(checks.length)} checks at ${String(places)} places, ${String(findings.length)} problems`,
    );
    for (const [reason, count] of unsupported)
      print(pc.dim(`       unsupported at ${String(count)} places: ${reason}`));
    for (const [title, places] of grouped(findings))
      print(`       ${title}\n         at ${places}`);
  }
  if (json) print(JSON.stringify(reports, null, 2));
  return clean;
}

/** Findings with the same words together, with the places where they were made. */
function grouped(findings: readonly Finding[]): Map<string, string> {
  const groups = new Map<string, string>();
  for (const { check: name, problem, place } of findings) {
    const title = `${name}: ${problem}`;
    const where = `${place.backend} ${place.kind} ${String(place.site.scheme.bitWidth)} bits`;
    const known = groups.get(title);
    groups.set(title, known === undefined ? where : `${known}; ${where}`);
  }
  return groups;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
