package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
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
ca.key, and node-ID.crt and node-ID.key for each id. Where the directory has ca.crt and
ca.key already, it is they that sign: so a node that is added later gets its certificate, or
one whose files were moved away a new one. The certificates are valid for %d years and name
the node's id and its host. Keys can be read by their owner only. The file of a node that is
there already is refused, and then nothing is written. ca.key makes further members: keep it
off the nodes.`, certificateYears),
		Example: `  leat cluster certs --out certs --nodes a:10.0.0.1:7001:1,b:10.0.0.2:7001:1,c:10.0.0.3:7001:1
  leat cluster certs --out certs --nodes d:10.0.0.4:7001:1`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			members, err := parseMembers(nodes)
			switch {
			case err != nil:
				return usage("read the nodes: %v", err)
			case len(members) == 0 || dir == "":
				return usage("say where to with --out, and for which nodes with --nodes")
			}
			files, err := makeCertificates(dir, members, time.Now())
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

// authority is a CA that signs certificates.
type authority struct {
	cert *x509.Certificate
	text []byte // the same in PEM
	key  crypto.Signer
}

const (
	authorityCert = "ca.crt"
	authorityKey  = "ca.key"
)

// readAuthority reads the CA of a directory, nil where it has none.
func readAuthority(dir string, now time.Time) (*authority, error) {
	at := func(name string) string { return filepath.Join(dir, name) }
	text, err := os.ReadFile(at(authorityCert))
	secret, keyErr := os.ReadFile(at(authorityKey))
	if errors.Is(err, fs.ErrNotExist) && errors.Is(keyErr, fs.ErrNotExist) {
		return nil, nil
	}
	if err = errors.Join(err, keyErr); err != nil {
		return nil, usage("a CA is both %s and %s: %v", authorityCert, authorityKey, err)
	}
	pair, err := tls.X509KeyPair(text, secret)
	if err != nil {
		return nil, usage("%s and %s: %v", at(authorityCert), at(authorityKey), err)
	}
	key, signs := pair.PrivateKey.(crypto.Signer)
	if !signs || !pair.Leaf.IsCA {
		return nil, usage("%s is no certificate of a CA", at(authorityCert))
	}
	if ends := pair.Leaf.NotAfter; now.After(ends) {
		return nil, usage("%s was valid until %s; make a new CA in another directory", at(authorityCert), ends.UTC().Format(time.RFC3339))
	}
	return &authority{cert: pair.Leaf, text: text, key: key}, nil
}

// newAuthority makes a CA, and its files.
func newAuthority(now time.Time) (*authority, []newFile, error) {
	cert := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Leat CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.Add(-clockSkew), NotAfter: now.AddDate(authorityYears, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	key, files, err := issue("ca", cert, cert, nil)
	if err != nil {
		return nil, nil, err
	}
	return &authority{cert: cert, text: files[0].content, key: key}, files, nil
}

// makeCertificates makes a certificate for each member, and a CA where the directory has
// none.
func makeCertificates(dir string, members []clusterMember, now time.Time) (files []newFile, err error) {
	ca, err := readAuthority(dir, now)
	if err == nil && ca == nil {
		ca, files, err = newAuthority(now)
	}
	if err != nil {
		return nil, err
	}
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
		_, made, err := issue("node-"+m.id, cert, ca.cert, ca.key)
		if err == nil {
			_, err = peer.NewCredentials(ca.text, made[0].content, made[1].content, now)
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
		return &failure{exit: exitConflict, code: "exists", text: path + " exists and is not replaced; move it away, or name another directory"}
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
