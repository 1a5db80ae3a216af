import tseslint from "typescript-eslint";

export default tseslint.config(
  {
    ignores: [
      "dist/",
      "node_modules/",
      "results/*/",
      "eslint.config.js",
      "test/faults/jumpingClock.mjs",
      "test/structure/rules.mjs",
      "reports/browser/",
      "benchmarks/installing/",
      "pipelines/engine/portable/kernels/",
    ],
  },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: { project: "test/tsconfig.json", tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      "max-lines": ["error", { max: 300, skipBlankLines: true, skipComments: true }],
      "max-lines-per-function": ["error", { max: 80, skipBlankLines: true, skipComments: true }],
      "no-console": "error",
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
      "@typescript-eslint/no-unused-vars": [
        "error",
        { varsIgnorePattern: "^_+$", argsIgnorePattern: "^_" },
      ],
      "@typescript-eslint/consistent-type-imports": "error",
      // tfjs hands out backends and tensor infos under wider types than they have.
      "@typescript-eslint/no-unsafe-class-instance-assignment": "off",
      // Kernels name the inputs and attributes that tfjs passes to them untyped.
      "@typescript-eslint/no-unnecessary-type-parameters": "off",
    },
  },
  // One TensorFlow.js, with gradients and kernels: its packages alone lack them, or bring hundreds of megabytes.
  // One onnxruntime, which tells nobody what it is used for.
  {
    files: ["**/*.ts"],
    ignores: ["algorithms/tf.ts", "pipelines/onnxruntime.ts"],
    rules: {
      "no-restricted-imports": [
        "error",
        {
          patterns: [
            {
              regex: "^@tensorflow/",
              message: 'Write: import * as tf from "#tf" (algorithms/tf.ts says why).',
            },
            {
              regex: "^onnxruntime-node",
              message: "Import pipelines/onnxruntime.js, which silences its telemetry.",
            },
          ],
        },
      ],
    },
  },
  // What decides results must be the same everywhere, and these are not: Math.pow has other last bits in
  // Node 22 than in 20 and 24, Math.cos, Math.log and Math.exp on ARM than on x64.
  {
    files: ["algorithms/**/*.ts", "pipelines/**/*.ts", "benchmarks/datasets/*.ts"],
    ignores: [
      "pipelines/conformance/**",
      "pipelines/deploy/siteWatcher.ts",
      "pipelines/engine/probe.ts",
      "pipelines/export/artefacts/**",
    ],
    rules: {
      "no-restricted-properties": [
        "error",
        ...["cbrt", "cos", "exp", "expm1", "hypot", "log", "log10", "log1p", "log2", "pow"]
          .concat(["acos", "asin", "atan", "atan2", "cosh", "sin", "sinh", "tan", "tanh"])
          .map((property) => ({
            object: "Math",
            property,
            message: "Its bits differ between machines; take the function of @stdlib.",
          })),
      ],
      "no-restricted-syntax": [
        "error",
        {
          selector: "BinaryExpression[operator='**'][left.value!=2][left.value!=1024]",
          message:
            "Powers other than of 2 differ between machines; multiply, or take @stdlib's pow.",
        },
      ],
    },
  },
  // Tables of cases are long and read like data.
  { files: ["test/**/*.ts"], rules: { "max-lines": "off", "max-lines-per-function": "off" } },
);
