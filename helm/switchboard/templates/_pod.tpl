{{/* What the pods of all components have in common. */}}

{{/* Pod Security, level `restricted`. */}}
{{- define "switchboard.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ . | default 65532 }}
runAsGroup: {{ . | default 65532 }}
fsGroup: {{ . | default 65532 }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}
{{- define "switchboard.containerSecurityContext" -}}
runAsNonRoot: true
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
privileged: false
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "switchboard.volumeMounts" -}}
- {name: secrets, mountPath: /etc/switchboard/secrets, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if include "switchboard.zoneData" . }}
- name: zoneinfo
  mountPath: /etc/switchboard/zoneinfo
  readOnly: true
  {{- with .root.Values.zoneData.subPath }}
  subPath: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end -}}
{{- define "switchboard.volumes" -}}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- include "switchboard.secretSources" . | nindent 6 }}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- if include "switchboard.zoneData" . }}
- name: zoneinfo
  {{- toYaml .root.Values.zoneData.volume | nindent 2 }}
{{- end }}
{{- end -}}

{{/* One command of the api's binary, as a container. (dict "root" $ "name" "migrate" "component" "migrations" "args" (list …) "resources" …) */}}
{{- define "switchboard.command" -}}
name: {{ .name }}
image: {{ include "switchboard.image" (dict "root" .root "image" .root.Values.api.image) }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: {{ toJson .args }}
env:
  {{- include "switchboard.env" (dict "root" .root "component" .component) | nindent 2 }}
resources:
  {{- toYaml .resources | nindent 2 }}
securityContext:
  {{- include "switchboard.containerSecurityContext" . | nindent 2 }}
volumeMounts:
  {{- include "switchboard.volumeMounts" . | nindent 2 }}
{{- end -}}

{{/* A pod that runs one such command and ends. (…, "serviceAccount" "…") */}}
{{- define "switchboard.commandPod" -}}
restartPolicy: Never
serviceAccountName: {{ .serviceAccount }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- include "switchboard.imagePullSecrets" .root }}
securityContext:
  {{- include "switchboard.podSecurityContext" "" | nindent 2 }}
containers:
  -
    {{- include "switchboard.command" . | nindent 4 }}
volumes:
  {{- include "switchboard.volumes" . | nindent 2 }}
{{- with .root.Values.api.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.api.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "switchboard.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: ops}
  {{- toYaml .startup | nindent 2 }}
livenessProbe:
  httpGet: {path: /livez, port: ops}
  {{- toYaml .liveness | nindent 2 }}
readinessProbe:
  httpGet: {path: /readyz, port: ops}
  {{- toYaml .readiness | nindent 2 }}
{{- end -}}

{{- define "switchboard.topologySpread" -}}
{{- $at := . -}}
{{- range .spread.topologyKeys }}
- topologyKey: {{ . }}
  maxSkew: {{ $at.spread.maxSkew }}
  whenUnsatisfiable: {{ $at.spread.whenUnsatisfiable }}
  matchLabelKeys: [pod-template-hash]
  labelSelector:
    matchLabels:
      {{- include "switchboard.selectorLabels" $at | nindent 6 }}
{{- end }}
{{- end -}}

{{/* The ports of a pod: `ops` everywhere, `http` at the api. */}}
{{- define "switchboard.opsPort" -}}
{{- get (dict "api" "9090" "worker" "9091" "scheduler" "9092") . -}}
{{- end -}}

{{/* The pod template of a long-running component.
     (dict "root" $ "component" "worker" "grace" 60 "env" "…" "repository" "…" "httpPort" 8080 "preStop" 5) */}}
{{- define "switchboard.podTemplate" -}}
{{- $root := .root -}}
{{- $values := index .root.Values .component -}}
{{- $ops := include "switchboard.opsPort" .component -}}
metadata:
  labels:
    {{- include "switchboard.podLabels" . | nindent 4 }}
    {{- with $values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: {{ .component }}
    cluster-autoscaler.kubernetes.io/safe-to-evict: "true"
    checksum/secrets: {{ printf "%s %s" (include "switchboard.devSecretData" $root) $root.Values.secretsRevision | sha256sum | trunc 16 | quote }}
    {{- with $values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "switchboard.serviceAccountName" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with include "switchboard.imagePullSecrets" $root }}
  {{- . | trim | nindent 2 }}
  {{- end }}
  terminationGracePeriodSeconds: {{ .grace }}
  securityContext:
    {{- include "switchboard.podSecurityContext" "" | nindent 4 }}
  initContainers:
    -
      {{- include "switchboard.command" (dict "root" $root "name" "wait-for-schema" "component" "migrations" "args" (list "migrate" "--wait") "resources" $root.Values.migrations.resources) | nindent 6 }}
  containers:
    - name: {{ .component }}
      image: {{ include "switchboard.image" (dict "root" $root "image" $values.image "repository" .repository) }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      {{- with $values.extraArgs }}
      args: {{ toJson . }}
      {{- end }}
      env:
        {{- include "switchboard.env" . | nindent 8 }}
        - name: OPS_LISTEN
          value: {{ printf "%s:%s" $root.Values.config.listenAddress $ops | quote }}
        {{- with $values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with $values.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        {{- with .httpPort }}
        - {name: http, containerPort: {{ . }}, protocol: TCP}
        {{- end }}
        - {name: ops, containerPort: {{ $ops }}, protocol: TCP}
      {{- include "switchboard.probes" $values.probes | nindent 6 }}
      {{- with .preStop }}
      lifecycle:
        preStop:
          sleep: {seconds: {{ . }}}
      {{- end }}
      resources:
        {{- toYaml $values.resources | nindent 8 }}
      securityContext:
        {{- include "switchboard.containerSecurityContext" . | nindent 8 }}
      volumeMounts:
        {{- include "switchboard.volumeMounts" . | nindent 8 }}
        {{- with $values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    {{- include "switchboard.volumes" . | nindent 4 }}
    {{- with $values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- if $values.topologySpread.enabled }}
  topologySpreadConstraints:
    {{- include "switchboard.topologySpread" (dict "root" $root "component" .component "spread" $values.topologySpread) | trim | nindent 4 }}
  {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
{{- end -}}

{{/* The Deployment of a component, around its pod template. (…, "replicas": omitted where an autoscaler owns the number) */}}
{{- define "switchboard.deployment" -}}
{{- $values := index .root.Values .component -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "switchboard.metadata" (dict "root" .root "component" .component "annotations" $values.annotations) | nindent 2 }}
spec:
  {{- if not .autoscaled }}
  replicas: {{ $values.replicas }}
  {{- end }}
  revisionHistoryLimit: {{ $values.revisionHistoryLimit }}
  minReadySeconds: {{ $values.minReadySeconds }}
  progressDeadlineSeconds: {{ $values.progressDeadlineSeconds }}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      {{- toYaml $values.strategy | nindent 6 }}
  selector:
    matchLabels:
      {{- include "switchboard.selectorLabels" . | nindent 6 }}
  template:
    {{- include "switchboard.podTemplate" . | nindent 4 }}
{{- end -}}
