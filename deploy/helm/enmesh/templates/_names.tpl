{{- define "enmesh.name" -}}
{{ .Values.name | default .Release.Name }}
{{- end }}

{{- define "enmesh.metadata" -}}
name: {{ include "enmesh.name" . }}
namespace: {{ .Release.Namespace }}
labels:
  app: {{ include "enmesh.name" . }}
{{- end }}

{{- define "enmesh.selector" -}}
{{- if .Values.selector -}}
{{ toYaml .Values.selector }}
{{- else -}}
app: {{ include "enmesh.name" . }}
{{- end }}
{{- end }}

{{- define "enmesh.lookup" -}}
{{ .Values.lookup | default (ternary "srv" "endpointslices" (eq .Values.mode "srv")) }}
{{- end }}

{{- /* "yes" where the Kubernetes API is read. */ -}}
{{- define "enmesh.asksApi" -}}
{{ if not (has (include "enmesh.lookup" .) (list "dns" "srv")) }}yes{{ end }}
{{- end }}

{{- /* "yes" where the names hold the Service's. */ -}}
{{- define "enmesh.hasService" -}}
{{ if has .Values.mode (list "srv" "hostname" "pod") }}yes{{ end }}
{{- end }}

{{- define "enmesh.check" -}}
{{- $name := include "enmesh.name" . }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$" $name) }}
{{- fail (printf "%q cannot be the name: allowed are 1 to 40 of a-z, 0-9 and -, with a letter first and no - at the end; give another release, or name" $name) }}
{{- end }}
{{- if and (eq .Values.kind "agent") (or (has $name (list "enmesh" "enmesh-install")) (and (eq $name "epmd") (eq .Values.epmd "sidecar"))) }}
{{- fail (printf "%s is what enmesh's own container is called, in the same pod; give another release, or name" $name) }}
{{- end }}
{{- $lookup := include "enmesh.lookup" . }}
{{- if and (eq $lookup "dns") (ne .Values.mode "ip") }}
{{- fail (printf "lookup dns never finds nodes of mode %s: it names them otherwise; take mode ip, or lookup srv with mode srv" .Values.mode) }}
{{- end }}
{{- if and (eq $lookup "srv") (has .Values.mode (list "ip" "dns")) }}
{{- fail (printf "lookup srv never finds nodes of mode %s: it names them otherwise; take mode srv, hostname or pod, or lookup dns with mode ip" .Values.mode) }}
{{- end }}
{{- if or (and .Values.tls (eq .Values.mode "ip")) (and (eq .Values.tls "cert-manager") (has .Values.mode (list "dns" "srv"))) }}
{{- fail (printf "tls needs names that a certificate can be for, which those of mode %s are not; take mode hostname" .Values.mode) }}
{{- end }}
{{- if and (eq .Values.kind "agent") (not .Values.app.image) }}
{{- fail "kind agent steers a node of yours: give its image as app.image" }}
{{- end }}
{{- if and (eq .Values.kind "member") (or .Values.app.image .Values.app.command .Values.app.ports .Values.app.user) }}
{{- fail "app is for kind agent: a member is the program itself" }}
{{- end }}
{{- $taken := list 9369 9100 }}
{{- if ne .Values.epmd "none" }}
{{- $taken = concat $taken (list 4369 9101 9102 9103 9104 9105 9106 9107 9108 9109) }}
{{- end }}
{{- range .Values.app.ports }}
{{- if has (int .) $taken }}
{{- fail (printf "app.ports has %d, which enmesh or the distribution listens on; let your program serve another" (int .)) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "enmesh.topology" -}}
{{- $name := include "enmesh.name" . }}
{{- $lookup := include "enmesh.lookup" . }}
{{- $none := eq .Values.epmd "none" }}
{{- if eq $lookup "dns" -}}
strategy=kubernetes_dns service={{ $name }} application_name={{ $name }}
{{- else if eq $lookup "srv" -}}
strategy=kubernetes_dns_srv service=_dist._tcp.{{ $name }} namespace=$(POD_NAMESPACE) application_name={{ $name }}{{ if $none }} port=srv{{ end }}
{{- else -}}
{{- $labels := list }}
{{- range $key, $value := (include "enmesh.selector" . | fromYaml) }}{{ $labels = append $labels (printf "%s=%s" $key $value) }}{{ end -}}
strategy=kubernetes kubernetes_ip_lookup_mode={{ $lookup }}
{{- if has $lookup (list "pods" "auto") }} kubernetes_selector={{ join "," $labels }}{{ end }}
{{- if or (ne $lookup "pods") (include "enmesh.hasService" .) }} kubernetes_service_name={{ $name }}{{ end }} mode={{ .Values.mode }}
{{- if $none }} port=9100{{ end }}
{{- end }}
{{- end }}

{{- /* What the kubelet knows of the pod, and what names are made of. */ -}}
{{- define "enmesh.naming" -}}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- {name: ENMESH_NAME, value: {{ include "enmesh.name" . }}}
- {name: ENMESH_NAME_MODE, value: {{ .Values.mode }}}
{{- if include "enmesh.hasService" . }}
- {name: SERVICE_NAME, value: {{ include "enmesh.name" . }}}
{{- end }}
{{- if .Values.clusterDomain }}
- {name: CLUSTER_DOMAIN, value: {{ .Values.clusterDomain }}}
{{- end }}
{{- end }}

{{- define "enmesh.pull" -}}
{{- if .Values.imagePullPolicy }}
imagePullPolicy: {{ .Values.imagePullPolicy }}
{{- end }}
{{- end }}
