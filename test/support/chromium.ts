import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Browser } from 'playwright-core';
import { removeWithParent } from './children.js';
import { librariesOf, onPath, unpackedServer, whyItFails } from './distribution.js';

interface Binary {
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
  /** Where fonts are besides those of the system. */
  readonly fonts?: string;
}

/** A headless Chromium: the one on the PATH, or that of the distribution, unpacked without root (100 MB). */
export async function startChromium(): Promise<Browser> {
  const { path, env, fonts } = await findBinary();
  const fontEnv = fonts && !existsSync('/etc/fonts/fonts.conf') ? { FONTCONFIG_FILE: fontConfig(fonts) } : {};
  return chromium.launch({
    executablePath: path,
    // Its sandbox needs rights that containers do not give.
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    env: { ...process.env, ...env, ...fontEnv },
  });
}

async function findBinary(): Promise<Binary> {
  for (const name of ['chromium', 'chromium-headless-shell', 'google-chrome']) {
    const path = onPath(name);
    if (path && !(await whyItFails(path, ['--version']))) return { path, env: {} };
  }
  const root = await unpackedServer({
    name: 'chromium',
    // prettier-ignore
    packages: [
      'chromium-headless-shell', 'chromium-common', 'fonts-dejavu-core', 'libasound2', 'libasyncns0', 'libatk1.0-0', 'libatspi2.0-0', 'libbrotli1',
      'libbsd0', 'libdav1d6', 'libdbus-1-3', 'libdouble-conversion3', 'libdrm2', 'libexpat1', 'libffi8', 'libflac12', 'libfontconfig1',
      'libfreetype6', 'libgbm1', 'libglib2.0-0', 'libgraphite2-3', 'libharfbuzz-subset0', 'libharfbuzz0b', 'libjpeg62-turbo', 'libmd0',
      'libminizip1', 'libmp3lame0', 'libmpg123-0', 'libnspr4', 'libnss3', 'libogg0', 'libopenh264-7', 'libopus0', 'libpng16-16', 'libpulse0',
      'libsndfile1', 'libsqlite3-0', 'libvorbis0a', 'libvorbisenc2', 'libwayland-server0', 'libx11-6', 'libx11-xcb1', 'libxau6', 'libxcb-randr0',
      'libxcb1', 'libxcomposite1', 'libxdamage1', 'libxdmcp6', 'libxext6', 'libxfixes3', 'libxi6', 'libxkbcommon0', 'libxnvctrl0', 'libxrandr2',
      'libxrender1',
    ],
    help: 'Install Chromium, so that chromium is on the PATH.',
    trouble: (tree) => whyItFails(unpacked(tree).path, ['--version'], unpacked(tree).env),
  });
  return unpacked(root);
}

function unpacked(root: string): Binary {
  const libraries = librariesOf(root)['LD_LIBRARY_PATH']!;
  // Where one library of PulseAudio looks for another, if it is installed.
  const pulse = libraries.split(':').map((folder) => join(folder, 'pulseaudio'));
  return {
    path: join(root, 'usr/lib/chromium/chromium-headless-shell'),
    env: { LD_LIBRARY_PATH: [libraries, ...pulse].join(':') },
    fonts: join(root, 'usr/share/fonts'),
  };
}

/** Chromium draws no text, and ends, where no font is configured. */
function fontConfig(fonts: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'cache-guard-fonts-'));
  removeWithParent(folder);
  const file = join(folder, 'fonts.conf');
  writeFileSync(file, `<fontconfig><dir>${fonts}</dir><cachedir>${folder}</cachedir></fontconfig>\n`);
  return file;
}
