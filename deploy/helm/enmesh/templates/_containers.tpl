{{- define "enmesh.security" -}}
runAsUser: 65532
runAsGroup: 65532
runAsNonRoot: true
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- /* The member, or the agent: enmesh itself. */ -}}
{{- define "enmesh.container" -}}
{{- $member := eq .Values.kind "member" -}}
name: enmesh
image: {{ .Values.image }}
{{- include "enmesh.pull" . }}
{{- if not $member }}
restartPolicy: Always
{{- end }}
args: [{{ ternary "run" "agent" $member }}]
env:
{{ include "enmesh.naming" . }}
- {name: ENMESH_COOKIE_FILE, value: /etc/enmesh/cookie}
- {name: ENMESH_EPMD, value: {{ if eq .Values.epmd "none" }}none{{ else if and (eq .Values.epmd "own") $member }}embedded{{ else }}system{{ end }}}
{{- if or $member (eq .Values.epmd "none") }}
- {name: ENMESH_DIST_PORT, value: "9100"}
{{- end }}
{{- if .Values.tls }}
- {name: ENMESH_TLS_CERT_FILE, value: /etc/enmesh-tls/tls.crt}
- {name: ENMESH_TLS_KEY_FILE, value: /etc/enmesh-tls/tls.key}
- {name: ENMESH_TLS_CA_FILE, value: /etc/enmesh-tls/ca.crt}
{{- end }}
- {name: ENMESH_HTTP_LISTEN, value: "$(POD_IP):9369"}
{{- if .Values.minPeers }}
- {name: ENMESH_MIN_PEERS, value: {{ .Values.minPeers | quote }}}
{{- end }}
{{- if .Values.jsonLog }}
- {name: ENMESH_LOG_FORMAT, value: json}
{{- end }}
- name: ENMESH_TOPOLOGY
  value: {{ include "enmesh.topology" . | quote }}
ports:
- {name: http, containerPort: 9369}
{{- if $member }}
{{- if eq .Values.epmd "own" }}
- {name: epmd, containerPort: 4369}
{{- end }}
- {name: dist, containerPort: 9100}
{{- end }}
livenessProbe: {httpGet: {path: /livez, port: http}, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6}
readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 2, timeoutSeconds: 2, failureThreshold: 2}
lifecycle: {preStop: {exec: {command: [/enmesh, leave]}}}
resources: {requests: {cpu: 25m, memory: 32Mi}, limits: {memory: 256Mi}}
securityContext:
{{- include "enmesh.security" . | nindent 2 }}
volumeMounts:
- {name: enmesh-cookie, mountPath: /etc/enmesh, readOnly: true}
{{- if .Values.tls }}
- {name: enmesh-tls, mountPath: /etc/enmesh-tls, readOnly: true}
{{- end }}
{{- end }}

{{- /* `enmesh epmd` for all nodes of a pod. */ -}}
{{- define "enmesh.epmd" -}}
name: epmd
image: {{ .Values.image }}
{{- include "enmesh.pull" . }}
restartPolicy: Always
args: [epmd]
ports:
- {name: epmd, containerPort: 4369}
startupProbe: {tcpSocket: {port: epmd}, periodSeconds: 1, failureThreshold: 30}
livenessProbe: {tcpSocket: {port: epmd}, periodSeconds: 10}
resources: {requests: {cpu: 5m, memory: 8Mi}, limits: {memory: 64Mi}}
securityContext:
{{- include "enmesh.security" . | nindent 2 }}
{{- end }}

{{- /* Puts the program where your own container finds it, for `enmesh env`. */ -}}
{{- define "enmesh.install" -}}
name: enmesh-install
image: {{ .Values.image }}
{{- include "enmesh.pull" . }}
args: [install, --to, /opt/enmesh]
resources: {requests: {cpu: 5m, memory: 8Mi}, limits: {memory: 64Mi}}
securityContext:
{{- include "enmesh.security" . | nindent 2 }}
volumeMounts:
- {name: enmesh-tools, mountPath: /opt/enmesh}
{{- end }}

{{- /* Your own node. */ -}}
{{- define "enmesh.app" -}}
{{- $name := include "enmesh.name" . -}}
{{- $host := printf "$(POD_NAME).%s.$(POD_NAMESPACE).svc.%s" $name (.Values.clusterDomain | default "cluster.local") -}}
name: {{ $name }}
image: {{ .Values.app.image }}
{{- include "enmesh.pull" . }}
{{- if .Values.app.command }}
command: {{ toJson .Values.app.command }}
{{- end }}
env:
{{ include "enmesh.naming" . }}
- name: RELEASE_COOKIE
  valueFrom: {secretKeyRef: {name: {{ $name }}-cookie, key: cookie}}
- {name: RELEASE_DISTRIBUTION, value: name}
{{- if eq .Values.mode "ip" }}
- {name: RELEASE_NODE, value: "{{ $name }}@$(POD_IP)"}
{{- else if has .Values.mode (list "hostname" "pod") }}
- {name: RELEASE_NODE, value: "{{ $name }}@{{ $host }}"}
{{- end }}
- {name: RELEASE_TMP, value: /tmp}
- {name: ENMESH_COOKIE_FILE, value: /etc/enmesh/cookie}
{{- if eq .Values.epmd "none" }}
- {name: ENMESH_EPMD, value: none}
- {name: ENMESH_DIST_PORT, value: "9100"}
{{- else }}
- {name: ERL_AFLAGS, value: "-kernel inet_dist_listen_min 9100 inet_dist_listen_max 9109{{ if eq .Values.epmd "sidecar" }} -start_epmd false{{ end }}"}
{{- end }}
ports:
{{- if eq .Values.epmd "own" }}
- {name: epmd, containerPort: 4369}
{{- end }}
- {name: dist, containerPort: 9100}
{{- range .Values.app.ports }}
- {containerPort: {{ . }}}
{{- end }}
{{- if .Values.app.resources }}
resources:
{{- toYaml .Values.app.resources | nindent 2 }}
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- if .Values.app.user }}
  runAsUser: {{ .Values.app.user }}
{{- end }}
volumeMounts:
- {name: enmesh-cookie, mountPath: /etc/enmesh, readOnly: true}
- {name: enmesh-tools, mountPath: /opt/enmesh, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if .Values.tls }}
- {name: enmesh-tls, mountPath: /etc/enmesh-tls, readOnly: true}
{{- end }}
{{- end }}
