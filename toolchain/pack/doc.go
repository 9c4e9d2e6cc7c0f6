// Package pack makes an image smaller: it packs what is loaded, as bzImage does with Linux's kernel.
//
// # Contract
//
// A packed image is a PVH ELF file like any other, for the same loaders. It has two parts: a stub at 1 MiB (testdata/stub,
// the entry) and, where the end of the unpacked image will be, one LZ4 block (lz4_Block_format.md of the LZ4
// project), which the stub unpacks in place and over itself. So unpacking takes no memory beyond the image's
// own. The image is then entered in the state in which the loader entered the stub, start info and modules
// untouched.
//
// What cannot work ends with a line on the console and status 2: memory that is too small, a module in the
// image's place, a packed part that is damaged.
package pack
