{{- define "will-it-compile.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- /* At most 50 characters, so that what is put behind it makes no name too long. */}}
{{- define "will-it-compile.fullname" -}}
{{- $name := include "will-it-compile.name" . }}
{{- $both := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- .Values.fullnameOverride | default $both | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- /* Of every object; each adds its app.kubernetes.io/component. */}}
{{- define "will-it-compile.labels" -}}
{{ include "will-it-compile.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* What pods are found by, with their app.kubernetes.io/component. */}}
{{- define "will-it-compile.selectorLabels" -}}
app.kubernetes.io/name: {{ include "will-it-compile.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "will-it-compile.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "will-it-compile.fullname" .) }}
{{- end }}

{{- define "will-it-compile.image" -}}
{{- with .Values.image }}
{{- .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "will-it-compile.compileNamespace" -}}
{{- .Values.compile.namespace.name | default .Release.Namespace }}
{{- end }}

{{- /* Of what belongs to no namespace, so that another release of the same name can have its own. */}}
{{- define "will-it-compile.clusterName" -}}
{{- printf "%s-%s-compile" .Release.Namespace (include "will-it-compile.fullname" .) }}
{{- end }}

{{- /* The PriorityClass of compiles; empty for none. */}}
{{- define "will-it-compile.compilePriorityClass" -}}
{{- with .Values.compile.priorityClass }}
{{- .name | default (ternary (include "will-it-compile.clusterName" $) "" .create) }}
{{- end }}
{{- end }}

{{- /* The ConfigMap that owns all compiles of this release, which therefore go with it. */}}
{{- define "will-it-compile.queueName" -}}
{{- include "will-it-compile.fullname" . }}-queue
{{- end }}

{{- define "will-it-compile.tokensSecret" -}}
{{- .Values.tokens.existingSecret | default (printf "%s-tokens" (include "will-it-compile.fullname" .)) }}
{{- end }}

{{- /* Which image has which toolchain, as a YAML list. What is said later counts more. */}}
{{- define "will-it-compile.toolchainImages" -}}
{{- $images := list }}
{{- with $registry := .Values.compile.registry | trimSuffix "/" }}
{{- range $family := list "gcc" "clang" "go" "rustc" }}
{{- $images = append $images (printf "%s=%s/%s:{version}" $family $registry $family) }}
{{- end }}
{{- end }}
{{- concat $images .Values.compile.images | toYaml }}
{{- end }}

{{- /* A word or a number as a text. A large number of a values file would else be written as 1e+06. */}}
{{- define "will-it-compile.word" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{- /* The file that the service is told everything with. */}}
{{- define "will-it-compile.config" -}}
{{- with .Values.compile -}}
backend: kubernetes
jobs: {{ int .jobs }}
timeout: {{ include "will-it-compile.word" .timeout | quote }}
{{- if or .registry .images }}
images:
  {{- include "will-it-compile.toolchainImages" $ | nindent 2 }}
{{- end }}
kubernetes:
  namespace: {{ include "will-it-compile.compileNamespace" $ | quote }}
  owner: {{ include "will-it-compile.queueName" $ | quote }}
  cpu: {{ include "will-it-compile.word" .resources.limits.cpu | quote }}
  memory: {{ include "will-it-compile.word" .resources.limits.memory | quote }}
  request-cpu: {{ include "will-it-compile.word" .resources.requests.cpu | quote }}
  request-memory: {{ include "will-it-compile.word" .resources.requests.memory | quote }}
  start-seconds: {{ int .startSeconds }}
  image-pull-policy: {{ .imagePullPolicy }}
  {{- with .imagePullSecrets }}
  image-pull-secrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .architecture }}
  architecture: {{ . }}
  {{- end }}
  {{- with .nodeSelector }}
  node-selector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .runtimeClassName }}
  runtime-class: {{ . | quote }}
  {{- end }}
  {{- with include "will-it-compile.compilePriorityClass" $ }}
  priority-class: {{ . | quote }}
  {{- end }}
  {{- with .serviceAccountName }}
  service-account: {{ . | quote }}
  {{- end }}
  {{- with .seccompProfile }}
  seccomp-profile: {{ . | quote }}
  {{- end }}
  {{- with .queue }}
  queue: {{ . | quote }}
  {{- end }}
  {{- with .labels }}
  labels:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .warm.enabled }}
  warm:
    enabled: true
    min: {{ int .warm.min }}
    max: {{ int .warm.max }}
    idle-seconds: {{ int .warm.idleSeconds }}
  {{- end }}
{{- end }}
{{- with .Values.server }}
serve:
  host: 0.0.0.0
  port: 8080
  queue-size: {{ int .queueSize }}
  keep: {{ include "will-it-compile.word" .keep | quote }}
  keep-results: {{ int .keepResults }}
  keep-bytes: {{ include "will-it-compile.word" .keepBytes | quote }}
  rate-limit: {{ include "will-it-compile.word" .rateLimit | quote }}
  {{- with .trustedProxies }}
  trusted-proxies:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if $.Values.tokens.enabled }}
  tokens: /etc/will-it-compile/tokens
  {{- end }}
  cors-origin: {{ .corsOrigin | quote }}
  max-body: {{ include "will-it-compile.word" .maxBody | quote }}
  header-timeout: {{ include "will-it-compile.word" .headerTimeout | quote }}
  body-timeout: {{ include "will-it-compile.word" .bodyTimeout | quote }}
  max-connections: {{ int .maxConnections }}
  grace: {{ int .grace }}
  log-format: {{ .logFormat }}
  log-level: {{ .logLevel }}
{{- end }}
{{- end }}

{{- define "will-it-compile.environment" -}}
{{- with .Values.proxy.http }}
- name: HTTP_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with .Values.proxy.https }}
- name: HTTPS_PROXY
  value: {{ . | quote }}
{{- end }}
{{- if or .Values.proxy.http .Values.proxy.https }}
- name: NO_PROXY
  value: {{ list "$(KUBERNETES_SERVICE_HOST)" .Values.proxy.except | compact | join "," | quote }}
{{- end }}
{{- with .Values.telemetry.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* For the securityContext of a container of ours, as Pod Security's level restricted wants it. */}}
{{- define "will-it-compile.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "will-it-compile.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- /* Values that each are right and do not go together. */}}
{{- define "will-it-compile.check" -}}
{{- with .Values.tokens }}
{{- if and .enabled (not .hashes) (not .existingSecret) }}
{{- fail "\n\nuse tokens: there is none\nwrite what `will-it-compile token NAME` prints into tokens.hashes, or the name of a Secret that has it into tokens.existingSecret" }}
{{- end }}
{{- end }}
{{- with .Values.serviceAccount }}
{{- if not (or .create .name) }}
{{- fail "\n\nuse a ServiceAccount that is there: it is not named\nset serviceAccount.name, or let serviceAccount.create be true" }}
{{- end }}
{{- end }}
{{- with .Values.autoscaling }}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) }}
{{- fail "\n\nuse an autoscaler: its least is more than its most\nset autoscaling.minReplicas to autoscaling.maxReplicas or less" }}
{{- end }}
{{- end }}
{{- with .Values.podDisruptionBudget }}
{{- $pods := ternary $.Values.autoscaling.minReplicas $.Values.replicaCount $.Values.autoscaling.enabled }}
{{- if and .enabled (not (kindIs "string" .minAvailable)) (ge (int .minAvailable) (int $pods)) }}
{{- fail (printf "\n\nuse a budget for disruptions: it keeps %d pods of %d, so that no node with one could ever be drained\nset podDisruptionBudget.minAvailable to less, or replicaCount to more" (int .minAvailable) (int $pods)) }}
{{- end }}
{{- end }}
{{- with .Values.compile }}
{{- if and .namespace.create (or (not .namespace.name) (eq .namespace.name $.Release.Namespace)) }}
{{- fail "\n\nmake a namespace for compiles: it has no name of its own\nset compile.namespace.name to another one than the release's" }}
{{- end }}
{{- if and .warm.enabled (gt (int .warm.min) (int .warm.max)) }}
{{- fail "\n\nkeep pods warm: compile.warm.min is more than compile.warm.max\nwrite less, or raise the other" }}
{{- end }}
{{- if and .admissionPolicy.enabled (not (or .admissionPolicy.allowedImages .registry .images)) }}
{{- fail "\n\nuse the admission policy: it would allow no image\nset compile.registry or compile.images to your images, or compile.admissionPolicy.allowedImages" }}
{{- end }}
{{- end }}
{{- end }}
