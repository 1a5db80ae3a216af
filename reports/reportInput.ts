import type { Margins } from "./decision/standing.js";
import type { CellResult, Environment, Run } from "../results/schema.js";

/** What a report is made of. */
export interface ReportInput {
  readonly run: Run;
  readonly environment: Environment;
  /** In the order of tables. */
  readonly results: readonly CellResult[];
  /** What lies beside the results, for links; nothing where the report is made elsewhere. */
  readonly files?: {
    /** Cells that have a file of their own, by name. */
    readonly cells: ReadonlySet<string>;
    /** Cells whose exported network is there, by name. */
    readonly models: ReadonlySet<string>;
    readonly matrix: boolean;
  };
  /** Of cells whose layers' sensitivities were measured, by name. */
  readonly sensitivities?: ReadonlyMap<string, MeasuredSensitivity>;
  /** What it decides by, if not one point and five. */
  readonly margins?: Margins;
  /** The run's directory, as commands are to name it. */
  readonly directory?: string;
}

/** What each part of a network suffers from quantization, as people read it. */
export interface MeasuredSensitivity {
  /** What an accuracy costs. */
  readonly verdict: string;
  /** Of the table's columns; the first is the part's. */
  readonly columns: readonly string[];
  /** The most sensitive part first. */
  readonly rows: readonly (readonly string[])[];
  /** SVG. */
  readonly picture: string;
}

/** A file of the report. */
export interface ReportFile {
  /** Relative to the report's directory. */
  readonly path: string;
  readonly content: string;
}

/** What computes finished cells again and compares. */
export const verifyCommand = ({ run, directory }: ReportInput): string =>
  `quantbench verify ${inShell(directory ?? `results/runs/${run.name}`)}`;

/** An argument as shells take it. */
const inShell = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
