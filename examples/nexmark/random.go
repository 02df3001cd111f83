package nexmark

import "math/bits"

// dice is a sequence of random numbers that depends on where it starts and on nothing
// else: SplitMix64, of Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
// Generators" (2014). It uses integers only, so that every machine makes the same
// events.
type dice uint64

// diceOf are the dice number n of a kind; dice of other numbers are independent.
func diceOf(kind, n int64) dice {
	d := dice(uint64(n)<<2 | uint64(kind))
	return dice(d.next())
}

func (d *dice) next() uint64 {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below is at least 0 and below n.
func (d *dice) below(n int64) int64 {
	high, _ := bits.Mul64(d.next(), uint64(n))
	return int64(high)
}

func (d *dice) oneOf(list []string) string { return list[d.below(int64(len(list)))] }

// letters appends n letters from a to z.
func (d *dice) letters(dst []byte, n int64) []byte {
	const perDraw = 12 // 26¹² is below 2⁶⁴
	for n > 0 {
		x := d.next()
		for range min(n, perDraw) {
			letter, rest := bits.Mul64(x, 26)
			dst, x = append(dst, 'a'+byte(letter)), rest
		}
		n -= perDraw
	}
	return dst
}

// word appends at least 3 letters and fewer than limit, of which about one in 13 is
// the separator instead, though neither the first nor the last.
func (d *dice) word(dst []byte, limit int64, separator byte) []byte {
	first := len(dst)
	dst = d.letters(dst, 3+d.below(limit-3))
	for i := first + 1; i < len(dst)-1; i++ {
		if d.below(13) == 0 {
			dst[i] = separator
		}
	}
	return dst
}

// about appends letters that bring a record of size bytes to wanted ones, give or take
// a fifth of what is missing.
func (d *dice) about(dst []byte, size, wanted int64) []byte {
	missing := wanted - size
	if missing <= 0 {
		return dst
	}
	fifth := max(1, missing/5)
	return d.letters(dst, missing-fifth+d.below(2*fifth))
}

// roots are 10^(1/2), 10^(1/4), … 10^(1/65536), times 2⁶⁰.
var roots = [...]uint64{
	0x3298b075b4b6a524, 0x1c73d51c54470e30, 0x15561a91ba81443d, 0x1279fcaca404e5ac,
	0x113197fa6aa6776b, 0x10960c68d98bc2bf, 0x104a5975b254b8ae, 0x102501ee61ca6267,
	0x101276506106747a, 0x1009388004be7e55, 0x10049b96285bc0a7, 0x10024da0a3c92c8c,
	0x100126c5b68ed631, 0x10009360348a6725, 0x100049af7098ffff, 0x100024d78de1d4c6,
}

// price is from 100 to below 100 000 000 cents, and as likely from 10^x to 10^(x+1)
// for every x.
func (d *dice) price() int64 {
	decade, fraction := d.below(6), d.next()
	const one = 1 << 60
	x := uint64(one) // 10^fraction
	for i, root := range roots {
		if fraction>>i&1 == 1 {
			high, low := bits.Mul64(x, root)
			x = high<<4 | low>>60
		}
	}
	scale := uint64(100)
	for range decade {
		scale *= 10
	}
	high, low := bits.Mul64(x, scale)
	return int64(high<<4 | low>>60)
}
