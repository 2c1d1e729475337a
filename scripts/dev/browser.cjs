// Finds or installs a headless browser and the npm packages that drive it, pinned, in .tools/page.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const { createRequire } = require('node:module');
const { execFileSync, spawnSync } = require('node:child_process');

const PINS = ['puppeteer-core@25.16.0', 'axe-core@4.14.1', 'marked@18.2.1'];
const tools = path.resolve(__dirname, '../../.tools/page');

/** Installs a Debian package unless `present` returns true. */
function installPackage(name, present) {
  if (present()) return;
  const root = process.getuid() === 0 ? [] : ['sudo', '-n'];
  for (const step of [['apt-get', 'update', '-qq'], ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', name]]) {
    const [command, ...args] = [...root, ...step];
    execFileSync(command, args, { stdio: ['ignore', 2, 2] });
  }
}

const which = (name) => {
  const found = spawnSync('sh', ['-c', 'command -v "$1"', 'sh', name], { encoding: 'utf8' });
  return found.status === 0 ? found.stdout.trim() : undefined;
};
const findChromium = () => ['chromium', 'chromium-browser', 'google-chrome'].map(which).find(Boolean);

/** The path of Chromium. */
function browser() {
  installPackage('chromium', findChromium);
  return findChromium();
}

/** The path of the module of one of the pinned packages. */
function load(name) {
  const stamp = path.join(tools, 'stamp');
  if (!fs.existsSync(stamp) || fs.readFileSync(stamp, 'utf8') !== PINS.join(' ')) {
    fs.mkdirSync(tools, { recursive: true });
    const options = ['--silent', '--no-audit', '--no-fund', '--no-save', '--ignore-scripts', '--prefix', tools];
    execFileSync('npm', ['install', ...options, ...PINS], { stdio: ['ignore', 2, 2] });
    fs.writeFileSync(stamp, PINS.join(' '));
  }
  return createRequire(path.join(tools, 'package.json')).resolve(name);
}

module.exports = { browser, installPackage, load };
