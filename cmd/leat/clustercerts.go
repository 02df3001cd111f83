package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"leat/cluster/peer"
)

// How long what leat cluster certs makes is valid.
const (
	authorityYears   = 10
	certificateYears = 2
	clockSkew        = time.Hour // between the nodes
)

func newClusterCerts(s *session) *cobra.Command {
	var dir, nodes string
	cmd := &cobra.Command{
		Use:   "certs --out DIR --nodes NODES",
		Short: "Make a CA and certificates for the nodes of a cluster",
		Long: fmt.Sprintf(`Make a CA and a certificate for each node, for a first try of --raft-tls: ca.crt and
ca.key, and node-ID.crt and node-ID.key for each id. The certificates are valid for %d
years and name the node's id and its host. Keys can be read by their owner only. A file
that is there already is refused, and then nothing is written. ca.key makes further
members: keep it off the nodes.`, certificateYears),
		Example: "  leat cluster certs --out certs --nodes a:10.0.0.1:7001:1,b:10.0.0.2:7001:1,c:10.0.0.3:7001:1",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			members, err := parseMembers(nodes)
			switch {
			case err != nil:
				return usage("read the nodes: %v", err)
			case len(members) == 0 || dir == "":
				return usage("say where to with --out, and for which nodes with --nodes")
			}
			files, err := makeCertificates(members, time.Now())
			if err != nil {
				return err
			}
			if err := writeNew(dir, files); err != nil {
				return err
			}
			var names []string
			for _, f := range files {
				names = append(names, filepath.Join(dir, f.name))
			}
			body, err := json.Marshal(struct {
				OK    bool     `json:"ok"`
				Files []string `json:"files"`
			}{true, names})
			if err != nil {
				return fmt.Errorf("encode the names: %w", err)
			}
			return s.answer(body, func(w io.Writer) error {
				for _, name := range names {
					if _, err := fmt.Fprintln(w, name); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&dir, "out", "", "directory to write to, made where there is none")
	cmd.Flags().StringVar(&nodes, "nodes", "", "the nodes of the cluster, as for leat serve")
	return cmd
}

// newFile is a file to be made.
type newFile struct {
	name    string
	content []byte
	mode    fs.FileMode
}

// makeCertificates makes a CA and a certificate for each member.
func makeCertificates(members []clusterMember, now time.Time) ([]newFile, error) {
	authority := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Leat CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.Add(-clockSkew), NotAfter: now.AddDate(authorityYears, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	caKey, files, err := issue("ca", authority, authority, nil)
	if err != nil {
		return nil, err
	}
	ca := files[0].content
	for _, m := range members {
		cert := &x509.Certificate{
			Subject: pkix.Name{CommonName: m.id}, DNSNames: []string{m.id},
			NotBefore: now.Add(-clockSkew), NotAfter: now.AddDate(certificateYears, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
		if ip := net.ParseIP(m.host); ip != nil {
			cert.IPAddresses = []net.IP{ip}
		} else if m.host != m.id {
			cert.DNSNames = append(cert.DNSNames, m.host)
		}
		_, made, err := issue("node-"+m.id, cert, authority, caKey)
		if err == nil {
			_, err = peer.NewCredentials(ca, made[0].content, made[1].content, now)
		}
		if err != nil {
			return nil, fmt.Errorf("make the certificate of node %q: %w", m.id, err)
		}
		files = append(files, made...)
	}
	return files, nil
}

// issue makes a key and its certificate, signed by the parent's key, nil = by itself:
// the files of both, the certificate first.
func issue(name string, cert, parent *x509.Certificate, parentKey crypto.Signer) (crypto.Signer, []newFile, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	if parentKey == nil {
		parentKey = key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, key.Public(), parentKey)
	if err != nil {
		return nil, nil, fmt.Errorf("sign a certificate: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode a key: %w", err)
	}
	return key, []newFile{
		{name + ".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644},
		{name + ".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600},
	}, nil
}

// writeNew writes files into a directory, none where one of them exists.
func writeNew(dir string, files []newFile) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the directory: %w", err)
	}
	exists := func(path string) error {
		return &failure{exit: exitConflict, code: "exists", text: path + " exists and is not replaced; name another directory"}
	}
	for _, f := range files {
		if _, err := os.Lstat(filepath.Join(dir, f.name)); err == nil {
			return exists(filepath.Join(dir, f.name))
		}
	}
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.mode)
		if errors.Is(err, fs.ErrExist) {
			return exists(path)
		}
		if err != nil {
			return fmt.Errorf("make a file: %w", err)
		}
		_, err = out.Write(f.content)
		if err := errors.Join(err, out.Close()); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	return nil
}
