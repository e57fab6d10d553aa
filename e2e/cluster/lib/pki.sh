# shellcheck shell=bash
# Keys, certificates and kubeconfigs of an instance: created at each start (a third of a second) and removed with the instance.

# create_pki FOLDER API_ADDRESS FIRST_SERVICE_ADDRESS
create_pki() (
    local api=$2 first_service=$3
    mkdir -p "$1"
    cd "$1"
    authority ca kubernetes-ca
    authority front-proxy-ca front-proxy-ca
    certificate apiserver /CN=kube-apiserver ca serverAuth \
        "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:$api,IP:$first_service"
    certificate kubelet-server /CN=node-0 ca serverAuth "DNS:node-0,IP:$api,IP:127.0.0.1"
    certificate apiserver-kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client ca clientAuth
    certificate front-proxy-client /CN=front-proxy-client front-proxy-ca clientAuth
    client admin /O=system:masters/CN=admin "$api"
    client controller-manager /CN=system:kube-controller-manager "$api"
    client scheduler /CN=system:kube-scheduler "$api"
    client kubelet /O=system:nodes/CN=system:node:node-0 "$api"
    client kube-proxy /CN=system:kube-proxy "$api"
    # CoreDNS reads Services, EndpointSlices, Pods and Namespaces; in a throwaway cluster it may read all.
    client coredns /O=system:masters/CN=coredns "$api"
    openssl ecparam -name prime256v1 -genkey -noout -out service-accounts.key
    openssl ec -in service-accounts.key -pubout -out service-accounts.pub 2>/dev/null
)

# authority FILE COMMON_NAME
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$2" \
        -keyout "$1.key" -out "$1.crt" 2>/dev/null
}

# certificate FILE SUBJECT AUTHORITY serverAuth|clientAuth [ALTERNATIVE_NAMES]
certificate() {
    {
        printf 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=%s\n' "$4"
        [[ -z ${5:-} ]] || printf 'subjectAltName=%s\n' "$5"
    } >"$1.ext"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$2" -keyout "$1.key" 2>/dev/null |
        openssl x509 -req -CA "$3.crt" -CAkey "$3.key" -CAcreateserial -days 30 -extfile "$1.ext" -out "$1.crt" 2>/dev/null
    rm "$1.ext"
}

# client NAME SUBJECT API_ADDRESS: a client certificate and a kubeconfig that holds it
client() {
    certificate "$1" "$2" ca clientAuth
    cat >"$1.kubeconfig" <<KUBECONFIG
apiVersion: v1
kind: Config
clusters:
- name: tts-operator-throwaway
  cluster:
    server: https://$3:6443
    certificate-authority-data: $(base64 -w0 ca.crt)
users:
- name: $1
  user:
    client-certificate-data: $(base64 -w0 "$1.crt")
    client-key-data: $(base64 -w0 "$1.key")
contexts:
- name: throwaway
  context: {cluster: tts-operator-throwaway, user: $1}
current-context: throwaway
KUBECONFIG
}
