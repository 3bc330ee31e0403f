{{/* Labels of every object. Takes a list: the root context and the component. */}}
{{- define "muster.labels" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{ include "muster.selectorLabels" . }}
app.kubernetes.io/part-of: muster
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels by which Deployments and Services find pods: never to be changed. */}}
{{- define "muster.selectorLabels" -}}
app.kubernetes.io/name: muster
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* A full image reference. Takes a list: the root context and the image's name. */}}
{{- define "muster.image" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $registry := $root.Values.image.registry -}}
{{- $full := ternary (printf "%s/%s" $registry $name) $name (ne $registry "") -}}
{{- if contains "@" $full -}}
{{ $full }}
{{- else -}}
{{ printf "%s:%s" $full (default $root.Chart.AppVersion $root.Values.image.tag) }}
{{- end -}}
{{- end }}

{{/* A quantity, or nothing for none: Agones writes 0 for none. */}}
{{- define "muster.quantity" -}}
{{- if ne (toString .) "0" }}{{ . }}{{ end -}}
{{- end }}

{{/* The operator's --port-range arguments, after a check that nothing overlaps. */}}
{{- define "muster.portRanges" -}}
{{- $ranges := dict "default" (list .Values.gameservers.minPort .Values.gameservers.maxPort) -}}
{{- range $name, $range := .Values.gameservers.additionalPortRanges -}}
{{-   if eq $name "default" -}}
{{-     fail "gameservers.additionalPortRanges must not contain default: set gameservers.minPort and maxPort instead" -}}
{{-   end -}}
{{-   $_ := set $ranges $name $range -}}
{{- end -}}
{{- $seen := dict -}}
{{- range $name := keys $ranges | sortAlpha -}}
{{-   $range := get $ranges $name -}}
{{-   $first := int (index $range 0) -}}
{{-   $last := int (index $range 1) -}}
{{-   if gt $first $last -}}
{{-     fail (printf "port range %s: the first port %d must not be greater than the last port %d" $name $first $last) -}}
{{-   end -}}
{{-   range $other, $limits := $seen -}}
{{-     if and (le $first (int (index $limits 1))) (le (int (index $limits 0)) $last) -}}
{{-       fail (printf "port range %s (%d-%d) overlaps with port range %s (%d-%d)" $name $first $last $other (int (index $limits 0)) (int (index $limits 1))) -}}
{{-     end -}}
{{-   end -}}
{{-   $_ := set $seen $name (list $first $last) }}
- --port-range={{ $name }}={{ $first }}-{{ $last }}
{{- end }}
{{- end }}

{{/* The profile `restricted`, for pods. */}}
{{- define "muster.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* The profile `restricted`, for containers, and a root file system that cannot be written. */}}
{{- define "muster.containerSecurityContext" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
capabilities:
  drop:
    - ALL
{{- end }}

{{/* The environment of traces; nothing without a collector. */}}
{{- define "muster.traces" -}}
{{- with .Values.telemetry -}}
{{- if .otlpEndpoint -}}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .otlpEndpoint | quote }}
- name: OTEL_TRACES_SAMPLER
  value: {{ .sampler | quote }}
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ .samplerArg | quote }}
{{- range $name, $path := dict "OTEL_POD_NAME" "metadata.name" "OTEL_POD_NAMESPACE" "metadata.namespace" "OTEL_POD_NODE" "spec.nodeName" "OTEL_POD_UID" "metadata.uid" }}
- name: {{ $name }}
  valueFrom:
    fieldRef:
      fieldPath: {{ $path }}
{{- end }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.namespace.name=$(OTEL_POD_NAMESPACE),k8s.pod.name=$(OTEL_POD_NAME),k8s.pod.uid=$(OTEL_POD_UID),k8s.node.name=$(OTEL_POD_NODE),service.instance.id=$(OTEL_POD_UID)
{{- end }}
{{- end }}
{{- end }}

{{/* Annotations of a pod. Takes a list: the root context and the component's values. */}}
{{- define "muster.podAnnotations" -}}
{{- $root := index . 0 -}}
{{- $annotations := dict "kubectl.kubernetes.io/default-container" (index . 2) -}}
{{- if $root.Values.metrics.prometheusServiceDiscovery -}}
{{-   $annotations = merge $annotations (dict "prometheus.io/scrape" "true" "prometheus.io/port" "8080" "prometheus.io/path" "/metrics") -}}
{{- end -}}
{{ toYaml (mergeOverwrite $annotations (deepCopy $root.Values.podAnnotations) (deepCopy (index . 1).podAnnotations)) }}
{{- end }}

{{/*
What the pods of all components share. Takes a list: root, component's values, component. Only
operator and allocator call the API server: nobody else gets a token for it.
*/}}
{{- define "muster.podSpec" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
{{- $component := index . 2 -}}
serviceAccountName: muster-{{ $component }}
automountServiceAccountToken: {{ has $component (list "operator" "allocator") }}
enableServiceLinks: false
securityContext:
  {{- include "muster.podSecurityContext" . | nindent 2 }}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- $priority := $root.Values.priorityClassName | default (ternary "muster-system" "" $root.Values.createPriorityClass) }}
{{- with $priority }}
priorityClassName: {{ . }}
{{- end }}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "muster.selectorLabels" (list $root $component) | nindent 8 }}
    # Each revision is spread on its own, or a rollout would be spread against the old pods.
    matchLabelKeys:
      - pod-template-hash
  {{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Probes of the admin server. A process that only waits is alive: liveness is about it alone. */}}
{{- define "muster.probes" -}}
livenessProbe:
  httpGet:
    path: /livez
    port: admin
  periodSeconds: 10
  failureThreshold: 3
  timeoutSeconds: 3
readinessProbe:
  httpGet:
    path: /readyz
    port: admin
  periodSeconds: 2
  failureThreshold: 2
  timeoutSeconds: 2
{{- end }}

{{/*
Binds the cluster role `muster-<component>-gameservers`: everywhere, or in the listed namespaces
only. Takes a list: the root context and the component.
*/}}
{{- define "muster.bindings" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $context := . -}}
{{- $name := printf "muster-%s-gameservers" $component -}}
{{- range $namespace := $root.Values.gameservers.namespaces | default (list "") }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ ternary "RoleBinding" "ClusterRoleBinding" (ne $namespace "") }}
metadata:
  name: {{ $name }}
  {{- with $namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "muster.labels" $context | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: muster-{{ $component }}
    namespace: {{ $root.Release.Namespace }}
{{- end }}
{{- end }}

{{/* Arguments of auth, whatever it does. */}}
{{- define "muster.authArgs" -}}
- --issuer={{ .Values.auth.issuer }}
- --config=/etc/muster-auth/config/auth.json
- --secrets-dir=/etc/muster-auth/secrets
- --log-level={{ .Values.auth.logLevel }}
{{- end }}

{{/* What auth reads and where it may write, whatever it does. */}}
{{- define "muster.authMounts" -}}
- name: config
  mountPath: /etc/muster-auth/config
  readOnly: true
{{- if .Values.auth.secretName }}
- name: secrets
  mountPath: /etc/muster-auth/secrets
  readOnly: true
{{- end }}
- name: tmp
  mountPath: /tmp
{{- end }}

{{- define "muster.authVolumes" -}}
- name: config
  configMap:
    name: muster-auth
{{- with .Values.auth.secretName }}
- name: secrets
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- end }}
