// Uses yaml-language-server like an editor: opens documents, waits for diagnostics, requests hovers and completions.
// Run by scripts/verify/editors: node scripts/verify/editors.cjs ROOT FOLDER
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { spawn } = require('node:child_process');
const rpc = require('vscode-jsonrpc/node');

const [root, work] = process.argv.slice(2);
const fail = (says) => {
  console.error(`scripts/verify/editors: ${says}`);
  process.exit(1);
};

/** The YAML block of a Markdown fixture, as a bare file that names its schema. */
function bare(fixture, schema) {
  const text = fs.readFileSync(path.join(root, fixture), 'utf8');
  const block = /```yaml\n([^]*?)```/.exec(text)[1];
  return `# yaml-language-server: $schema=${path.join(root, 'schemas', schema)}\n${block}`;
}

const contract = bare('tests/fixtures/lint/contract.md', 'contract.schema.json');
const attestation = bare('tests/fixtures/lint/attestation.md', 'attestation.schema.json');
const line = (text, needle) => {
  const at = text.split('\n').findIndex((l) => l.includes(needle));
  if (at < 0) fail(`the fixture has no \`${needle}\``);
  return at;
};

// Each document with the lines that must be marked.
const documents = {
  'contract.yaml': [contract, []],
  'attestation.yaml': [attestation, []],
  'risk.yaml': [contract.replace('risk: hot', 'risk: lukewarm'), [line(contract, 'risk: hot')]],
  'key.yaml': [contract.replace('  slug:', '  slugg:'), [line(contract, 'nmoe:'), line(contract, 'slug:')]],
  'list.yaml': [contract.replace(/ {2}allow:\n( {4}- .*\n)+/, '  allow: nmoe\n'), [line(contract, '  allow:')]],
  'claim.yaml': [attestation.replace('budget_pct: -10', 'budget_pct: some'), [line(attestation, 'budget_pct: -10')]],
};

(async () => {
  const server = spawn(process.execPath, [require.resolve('yaml-language-server/bin/yaml-language-server'), '--stdio'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const connection = rpc.createMessageConnection(new rpc.StreamMessageReader(server.stdout), new rpc.StreamMessageWriter(server.stdin));
  const waiting = new Map();
  connection.onNotification('textDocument/publishDiagnostics', ({ uri, diagnostics }) => waiting.get(uri)?.(diagnostics));
  connection.onRequest('workspace/configuration', ({ items }) => items.map(() => ({ validate: true, hover: true, completion: true, schemaStore: { enable: false } })));
  connection.onRequest(() => null);
  connection.listen();
  const folder = pathToFileURL(work).href;
  await connection.sendRequest('initialize', { processId: process.pid, rootUri: folder, workspaceFolders: [{ uri: folder, name: 'work' }], capabilities: { workspace: { configuration: true }, textDocument: { hover: { contentFormat: ['plaintext'] }, completion: {} } } });
  connection.sendNotification('initialized', {});

  for (const [name, [text, wanted]] of Object.entries(documents)) {
    const uri = pathToFileURL(path.join(work, name)).href;
    const published = new Promise((resolve) => waiting.set(uri, resolve));
    connection.sendNotification('textDocument/didOpen', { textDocument: { uri, languageId: 'yaml', version: 1, text } });
    const diagnostics = await published;
    const marked = [...new Set(diagnostics.map((d) => d.range.start.line))].sort((a, b) => a - b);
    if (String(marked) !== String([...wanted].sort((a, b) => a - b))) {
      fail(`${name}: lines ${marked} are marked, not ${wanted}: ${JSON.stringify(diagnostics.map((d) => d.message))}`);
    }
  }

  // A correct file has no diagnostics even if the schema was not loaded. Hover and completion show that it was.
  const uri = pathToFileURL(path.join(work, 'contract.yaml')).href;
  const at = line(contract, 'risk: hot');
  const hover = await connection.sendRequest('textDocument/hover', { textDocument: { uri }, position: { line: at, character: 3 } });
  const schema = JSON.parse(fs.readFileSync(path.join(root, 'schemas/contract.schema.json'), 'utf8'));
  const [first] = JSON.stringify(hover?.contents ?? '').match(/[A-Z][^\\"]{10,}/) ?? [''];
  if (!JSON.stringify(schema).includes(first.trim().replace(/\.$/, '')) || first === '') {
    fail(`a hover over \`risk\` shows no text of the schema: ${JSON.stringify(hover)}`);
  }
  const column = contract.split('\n')[at].indexOf('hot');
  const offered = await connection.sendRequest('textDocument/completion', { textDocument: { uri }, position: { line: at, character: column } });
  const labels = (offered.items ?? offered).map((item) => item.label);
  if (!['hot', 'warm', 'cold'].every((risk) => labels.includes(risk))) fail(`completion offers ${labels} for \`risk\``);

  await connection.sendRequest('shutdown');
  connection.sendNotification('exit');
  const bad = Object.values(documents).filter(([, wanted]) => wanted.length > 0).length;
  console.log(`yaml-language-server: ${Object.keys(documents).length - bad} correct files without a diagnostic; ${bad} wrong files marked on their lines; hover «${first.trim()}»; completion ${labels.join(', ')}.`);
  server.kill();
  process.exit(0);
})().catch((error) => fail(error.stack));
