// The command line, one file a command: options, help, what is printed. The work itself is done behind
// other doors. A newcomer adds a command: its file, and a line here.
import type { Command } from "commander";
import { addBundle } from "./bundle.js";
import { addCheck } from "./check.js";
import { addCompare } from "./compare.js";
import { addCompletion } from "./completion.js";
import { addDoctor } from "./doctor.js";
import { addExport } from "./export.js";
import { addInit } from "./init.js";
import { addList } from "./list.js";
import { addMerge } from "./merge.js";
import { addNew } from "./new.js";
import { addReport } from "./report.js";
import { addRun } from "./run.js";
import { addSensitivity } from "./sensitivity.js";
import { addServe } from "./serve.js";
import { addStatus } from "./status.js";
import { addTable } from "./table.js";
import { addTry } from "./try.js";
import { addVerify } from "./verify.js";
import { addWorker } from "./worker.js";

export { EXIT } from "./exit.js";
export { collect } from "./optionValues.js";

/** In the order in which help lists them. */
export const commands: readonly ((program: Command) => unknown)[] = [
  addRun,
  addWorker,
  addStatus,
  addTry,
  addInit,
  addList,
  addReport,
  addServe,
  addTable,
  addCompare,
  addMerge,
  addBundle,
  addVerify,
  addExport,
  addSensitivity,
  addCheck,
  addNew,
  addDoctor,
  addCompletion,
];
