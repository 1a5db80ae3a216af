import { InvalidArgumentError, type Command } from "commander";
import { serveReport } from "../stored/index.js";
import { print } from "./exit.js";

const portNumber = (text: string): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > 65_535)
    throw new InvalidArgumentError("It must be a whole number from 0 to 65535.");
  return value;
};

export function addServe(program: Command): void {
  program
    .command("serve")
    .description("show a run's report in a browser of this machine, new as cells are finished")
    .argument("<directory>", "a run directory; the run may still be going on")
    .option("--port <n>", "of 127.0.0.1; 0 takes any that is free", portNumber, 8470)
    .addHelpText(
      "after",
      `
Examples:
  quantbench run standard & quantbench serve results/runs/standard
  quantbench serve results/runs/quick --port 0

Only this machine can read it. Ctrl-C ends it.`,
    )
    .action(async (path: string, { port }: { port: number }) => {
      const { address, close } = await serveReport(path, port);
      print(address);
      await new Promise((done) => {
        for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, done);
      });
      await close();
    });
}
