package main

import (
	"errors"
	"testing"
)

func TestSearch_FindsTheBorder(t *testing.T) {
	for border := 2; border <= 512; border++ {
		tries := 0
		got, err := search(1, 512, func(n int) error {
			tries++
			if n < border {
				return errors.New("too little")
			}
			return nil
		})
		if got != border || err != nil || tries > 18 {
			t.Fatalf("border %d: found %d, %v after %d tries", border, got, err, tries)
		}
	}
	if _, err := search(1, 512, func(int) error { return errors.New("never") }); err == nil {
		t.Error("an image that never boots has a least memory")
	}
}
