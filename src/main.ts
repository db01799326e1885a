/** argv → command. */
import { runCommandLine } from "./cli/cli.ts";
import { keepTickShape } from "./tick-shape.ts";

keepTickShape();
process.exitCode = await runCommandLine(process.argv.slice(2));
