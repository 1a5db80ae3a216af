import type { CellConfig, CellResult } from "../results/schema.js";
import { groupBy } from "./cells.js";
import { flatten } from "./settings.js";

/** A setting that decides numbers and has different values in cells of two runs. */
export interface ConfigurationDifference {
  readonly name: string;
  readonly first: string;
  readonly second: string;
  /** Pairs of cells that differ so. */
  readonly cells: number;
  /**
   * Of the data or of the hyperparameters: numbers of different recipes say nothing about the code.
   * Else it is a version, which runs are compared for.
   */
  readonly recipe: boolean;
}

/** What differs in the configurations of cells that answer the same question, seeds aside. */
export function configurationDifferences(
  pairs: readonly (readonly [CellResult, CellResult])[],
): ConfigurationDifference[] {
  const found = pairs.flatMap(([first, second]) => {
    const [a, b] = [settingsOf(first.config), settingsOf(second.config)];
    return [...new Set([...a.keys(), ...b.keys()])]
      .map((name) => ({ name, first: a.get(name) ?? "–", second: b.get(name) ?? "–" }))
      .filter((setting) => setting.first !== setting.second);
  });
  const groups = groupBy(found, (setting) => JSON.stringify(setting));
  return [...groups.values()].flatMap((group) => {
    const [setting] = group;
    if (setting === undefined) return [];
    const recipe = /^(?:hyperparameters|dataset): /.test(setting.name);
    return [{ ...setting, cells: group.length, recipe }];
  });
}

function settingsOf({ seed: _seed, variant: _variant, ...rest }: CellConfig): Map<string, string> {
  return new Map(flatten(rest).map(({ name, value }) => [name, value]));
}
