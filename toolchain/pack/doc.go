// Package pack makes an image smaller: it packs what is loaded, as bzImage does with Linux's kernel.
//
// # Contract
//
// A packed image is a PVH ELF file like any other, for the same loaders. It has two parts: a stub at 1 MiB (testdata/stub,
// the entry) and, where the end of the unpacked image will be, the packed data, which the stub unpacks in place and over
// itself. While it does, it needs 36 KiB below the image and, behind it, as much as the pc-value tables have, which are the program's afterwards. The
// image is then entered in the state in which the loader entered the stub, start info and modules untouched.
//
// What cannot work ends with a line on the console and status 2: memory that is too small, a module in the
// image's place, packed data that is damaged.
//
// # Format
//
// What is packed is the image with the addresses in its code made absolute (branches), the places in its table of functions made
// relative (functions) and the values of its pc-value tables put before their pcs (split). It is packed as in Microsoft's LZX: literals and matches in blocks of 128 KiB
// with a Huffman code of their own, where one symbol says a match's distance, roughly, and its length. Bits are written the highest
// first. A block is
//
//	the lengths of the two codes, for each symbol:
//		0	as in the block before (0 in the first)
//		100, 101	one more, one less
//		11llll	llll
//	until it has unpacked to 128 KiB or the image's end, a symbol of the first code:
//		0–255	a literal
//		256+8s+n	a match of n+2 bytes; for n = 7 of 9 and as many more as a symbol of the second code and its extra bits say
//			s = 0, 1, 2: at the last, the one before, or the third last of the distances, which so becomes the last
//			s > 2: at a new distance, 1 and as many more as s-3 and its extra bits say
//
// Codes are canonical: shorter ones first, then by symbol. The numbers that slots begin with, and their extra bits, are those of spans.
package pack
