// What may import what; `npm run check` holds the code against it, types included.

/** Folders in the order of dependencies: each may import those it names. */
export const FOLDERS = {
  backends: [],
  algorithms: ["backends"],
  pipelines: ["algorithms", "backends"],
  results: [],
  reports: ["results"],
  benchmarks: ["algorithms", "backends", "pipelines", "results", "reports"],
};

/** Rooms of a folder in the order in which data goes through: none imports a later one. */
export const ROOMS = {
  pipelines: [
    "onnx",
    "engine",
    "network",
    "import",
    "train",
    "quantize",
    "freeze",
    "export",
    "deploy",
    "conformance",
  ],
  benchmarks: [
    "models",
    "datasets",
    "plugins",
    "inputs",
    "checkpoints",
    "planning",
    "cell",
    "running",
    "stored",
    "machines",
    "measuring",
    "commands",
  ],
};

const directions = Object.entries(FOLDERS).map(([folder, allowed]) => ({
  name: `${folder} imports ${allowed.join(", ") || "nothing of ours"}`,
  severity: "error",
  from: { path: `^${folder}/` },
  to: {
    path: `^(${Object.keys(FOLDERS).join("|")})/`,
    pathNot: `^(${[folder, ...allowed].join("|")})/`,
  },
}));

/** A room is entered by its door; tests of a room are inside of it. */
const doors = Object.entries(ROOMS).flatMap(([folder, rooms]) =>
  rooms.flatMap((room, index) => [
    {
      name: `${folder}/${room} is entered by its index.ts`,
      severity: "error",
      from: { pathNot: `^(test/)?${folder}/${room}/` },
      to: { path: `^${folder}/${room}/`, pathNot: `^${folder}/${room}/index\\.ts$` },
    },
    {
      name: `${folder}/${room} imports no later room`,
      severity: "error",
      from: { path: `^${folder}/${room}/` },
      to: { path: `^${folder}/(${rooms.slice(index + 1).join("|") || "none"})/` },
    },
  ]),
);

export default {
  forbidden: [
    { name: "no circles", severity: "error", from: {}, to: { circular: true } },
    ...directions,
    ...doors,
  ],
  options: {
    // Imports of types count as well.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "test/tsconfig.json" },
    includeOnly: `^(${[...Object.keys(FOLDERS), "test"].join("|")})/`,
  },
};
