import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    dir: "test",
    globalSetup: "test/temporaryDirectory.ts",
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
