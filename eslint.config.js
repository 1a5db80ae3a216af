import tseslint from "typescript-eslint";

export default tseslint.config(
  {
    ignores: [
      "dist/",
      "node_modules/",
      "results/runs/",
      "results/reference/",
      "eslint.config.js",
      "test/structure/rules.mjs",
      "reports/browser/",
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
  // Tables of cases are long and read like data.
  { files: ["test/**/*.ts"], rules: { "max-lines": "off", "max-lines-per-function": "off" } },
);
