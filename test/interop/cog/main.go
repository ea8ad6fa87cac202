// Reads a weights.lock and pulls its weights from a registry with Cog's own packages: what `cog weights
// pull` does, without a cog.yaml.
//
//	cog-reader REPOSITORY LOCK STORE
//
// It fails unless the lock is, byte for byte, what Cog would write, and its set digests are right.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/replicate/cog/pkg/registry"
	"github.com/replicate/cog/pkg/weights"
	"github.com/replicate/cog/pkg/weights/lockfile"
	"github.com/replicate/cog/pkg/weights/store"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(repository, path, directory string) error {
	lock, err := lockfile.LoadWeightsLock(path)
	if err != nil {
		return err
	}
	written, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	own, err := lock.Marshal()
	if err != nil {
		return err
	}
	if !bytes.Equal(written, own) {
		return errors.New("the lock is not what Cog would write")
	}
	for i := range lock.Weights {
		if entry := &lock.Weights[i]; entry.ComputeSetDigest() != entry.SetDigest {
			return fmt.Errorf("%s: the set digest is not %s", entry.Name, entry.SetDigest)
		}
	}
	files, err := store.NewFileStore(directory)
	if err != nil {
		return err
	}
	manager, err := weights.NewManager(weights.ManagerOptions{
		Store: files, Registry: registry.NewRegistryClient(), Repo: repository, Lock: lock, ProjectDir: directory,
	})
	if err != nil {
		return err
	}
	results, err := manager.Pull(context.Background(), nil, nil)
	for _, result := range results {
		fmt.Printf("%s: %d files, %d layers\n", result.Name, result.FilesFetched, result.LayersFetched)
	}
	return err
}
