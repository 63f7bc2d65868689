import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";

export default defineConfig({
  files: ["extension/**/*.ts"],
  extends: [tseslint.configs.recommendedTypeChecked],
  languageOptions: {
    parserOptions: { project: "../tsconfig.json", tsconfigRootDir: import.meta.dirname },
  },
  rules: {
    // The test runner keeps the promises of its own `test` and `describe`.
    "@typescript-eslint/no-floating-promises": [
      "error",
      {
        allowForKnownSafeCalls: [
          { from: "package", package: "node:test", name: ["test", "describe", "it"] },
        ],
      },
    ],
  },
});
