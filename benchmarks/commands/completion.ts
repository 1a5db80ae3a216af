import { Argument, type Command } from "commander";
import { algorithms } from "../../algorithms/index.js";
import { backends } from "../../backends/index.js";
import { LISTS } from "./listing.js";
import { presetNames } from "../planning/index.js";
import { print } from "./exit.js";

const SHELLS = ["bash", "zsh", "fish"] as const;

export function addCompletion(program: Command): void {
  program
    .command("completion")
    .description("print a script that completes commands and options with Tab")
    .addArgument(new Argument("<shell>", "your shell").choices(SHELLS))
    .addHelpText(
      "after",
      `
Examples:
  quantbench completion bash >> ~/.bashrc
  quantbench completion zsh >> ~/.zshrc
  quantbench completion fish > ~/.config/fish/completions/quantbench.fish`,
    )
    .action(async (shell: (typeof SHELLS)[number]) => {
      const commands = describeCommands(program, await presetNames());
      print(shell === "fish" ? fish(commands) : posix(commands, shell));
    });
}

interface CompletedCommand {
  readonly name: string;
  readonly description: string;
  /** What its first argument may be, beside files. */
  readonly words: readonly string[];
  readonly options: readonly {
    readonly flag: string;
    readonly description: string;
    readonly choices: readonly string[];
  }[];
}

function describeCommands(program: Command, presets: readonly string[]): CompletedCommand[] {
  const words: Readonly<Record<string, readonly string[]>> = {
    run: presets,
    list: LISTS,
    check: ["algorithm"],
    try: [...algorithms, ...backends].map(({ name }) => name),
    new: ["algorithm", "backend"],
    completion: SHELLS,
  };
  return program.commands.map((command) => ({
    name: command.name(),
    description: firstLine(command.description()),
    words: words[command.name()] ?? [],
    options: command.options.map(({ long, description, argChoices = [] }) => ({
      flag: long ?? "",
      description: firstLine(description),
      choices: argChoices,
    })),
  }));
}

const firstLine = (text: string): string => text.split("\n", 1)[0] ?? "";

/** Words after an option's name are its choices; else options, and words for the first argument. */
function posix(commands: readonly CompletedCommand[], shell: "bash" | "zsh"): string {
  const cases = commands.flatMap(({ name, words, options }) => [
    `    ${name}) case "$previous" in`,
    ...options
      .filter(({ choices }) => choices.length > 0)
      .map(({ flag, choices }) => `      ${flag}) words="${choices.join(" ")}" ;;`),
    `      *) words="${[...words, ...options.map(({ flag }) => flag), "--help"].join(" ")}" ;;`,
    "      esac ;;",
  ]);
  return [
    ...(shell === "zsh" ? ["autoload -U +X bashcompinit && bashcompinit"] : []),
    "_quantbench() {",
    '  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" words',
    '  case "${COMP_CWORD}:${COMP_WORDS[1]}" in',
    `    1:*) words="${[...commands.map(({ name }) => name), "--help", "--version"].join(" ")}" ;;`,
    "    *:*) _quantbench_words ;;",
    "  esac",
    '  COMPREPLY=($(compgen -W "$words" -- "$current"))',
    "}",
    "_quantbench_words() {",
    '  case "${COMP_WORDS[1]}" in',
    ...cases,
    "  esac",
    "}",
    "complete -o default -F _quantbench quantbench",
  ].join("\n");
}

function fish(commands: readonly CompletedCommand[]): string {
  const quoted = (text: string) => `'${text.replace(/[\\']/g, "\\$&")}'`;
  return commands
    .flatMap(({ name, description, words, options }) => [
      `complete -c quantbench -n __fish_use_subcommand -a ${name} -d ${quoted(description)}`,
      ...(words.length > 0
        ? [
            `complete -c quantbench -n '__fish_seen_subcommand_from ${name}' -a ${quoted(words.join(" "))}`,
          ]
        : []),
      ...options.map(
        ({ flag, description: about, choices }) =>
          `complete -c quantbench -n '__fish_seen_subcommand_from ${name}' -l ${flag.replace(/^--/, "")} -d ${quoted(about)}` +
          (choices.length > 0 ? ` -xa ${quoted(choices.join(" "))}` : ""),
      ),
    ])
    .join("\n");
}
