/**
 * What a disk holds after a power cut, by the strictest reading of what the operating system promises.
 *
 * A write is in the page cache. A sync that succeeds puts the file's changed pages on the disk. After a sync
 * that failed they count as clean, as on Linux: the next sync doesn't write them again, so they are lost unless
 * they are written again. Of the pages that no sync has covered each may have reached the disk or not.
 * That a file is there at all is taken for granted; what SQLite does about directories is not looked at.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

const PAGE = 4096;

/** Pages are replaced, never changed, so that cache and disk can hold the same ones. */
class CachedFile {
  readonly #cached = new Map<number, Buffer>();
  #cachedSize: number;
  readonly #disk: Map<number, Buffer>;
  #diskSize: number;
  readonly #dirty = new Set<number>();

  constructor(contents: Buffer) {
    for (let page = 0; page * PAGE < contents.length; page++)
      this.#put(page, 0, contents.subarray(page * PAGE, (page + 1) * PAGE));
    this.#disk = new Map(this.#cached);
    this.#cachedSize = contents.length;
    this.#diskSize = contents.length;
    this.#dirty.clear();
  }

  write(offset: number, bytes: Buffer): void {
    for (let done = 0; done < bytes.length; ) {
      const within = (offset + done) % PAGE;
      const part = bytes.subarray(done, done + PAGE - within);
      this.#put((offset + done - within) / PAGE, within, part);
      done += part.length;
    }
    this.#cachedSize = Math.max(this.#cachedSize, offset + bytes.length);
  }

  truncate(size: number): void {
    for (const page of this.#cached.keys()) {
      if (page * PAGE < size) continue;
      this.#cached.delete(page);
      this.#dirty.add(page);
    }
    this.#cachedSize = size;
  }

  sync(succeeded: boolean): void {
    if (succeeded) {
      for (const page of this.#dirty) {
        const bytes = this.#cached.get(page);
        if (bytes === undefined) this.#disk.delete(page);
        else this.#disk.set(page, bytes);
      }
      this.#diskSize = this.#cachedSize;
    }
    this.#dirty.clear();
  }

  /** @param arrived whether a page that no sync has covered is on the disk nevertheless */
  contents(arrived: () => boolean): Buffer {
    const pages = new Map(this.#disk);
    let size = this.#diskSize;
    for (const page of this.#dirty) {
      const bytes = this.#cached.get(page);
      if (bytes === undefined || !arrived()) continue;
      pages.set(page, bytes);
      size = Math.max(size, Math.min(this.#cachedSize, (page + 1) * PAGE));
    }
    const contents = Buffer.alloc(size);
    for (const [page, bytes] of pages) if (page * PAGE < size) bytes.copy(contents, page * PAGE);
    return contents;
  }

  #put(page: number, within: number, bytes: Buffer): void {
    const replaced = Buffer.alloc(PAGE);
    this.#cached.get(page)?.copy(replaced);
    bytes.copy(replaced, within);
    this.#cached.set(page, replaced);
    this.#dirty.add(page);
  }
}

/** The files of a database, by what was done to them. */
export class Disk {
  readonly #files = new Map<string, CachedFile>();

  write(path: string, offset: number, bytes: Buffer): void {
    this.#file(path).write(offset, bytes);
  }

  truncate(path: string, size: number): void {
    this.#file(path).truncate(size);
  }

  sync(path: string, succeeded: boolean): void {
    this.#file(path).sync(succeeded);
  }

  /** Takes a file in as it is: all of it on the disk. */
  add(path: string): void {
    this.#files.set(path, new CachedFile(existsSync(path) ? readFileSync(path) : Buffer.alloc(0)));
  }

  /** Puts what a power cut would leave into another folder, under the same names. */
  cutPower(folder: string, arrived: () => boolean): void {
    for (const [path, file] of this.#files) writeFileSync(join(folder, basename(path)), file.contents(arrived));
  }

  #file(path: string): CachedFile {
    const file = this.#files.get(path);
    if (file === undefined) throw new Error(`${path} is not on this disk`);
    return file;
  }
}
