{{/* What is for trials only. */}}

{{/* The trial's own addresses. The password is a value, not made up: a second render must be the same. */}}
{{- define "switchboard.devSecretData" -}}
{{- $name := include "switchboard.fullname" . -}}
{{- if .Values.dev.postgres.enabled }}
DATABASE_URL: {{ printf "postgres://switchboard:%s@%s-dev-postgres:5432/switchboard" (urlquery .Values.dev.postgres.password | replace "+" "%20") $name | quote }}
POSTGRES_PASSWORD: {{ .Values.dev.postgres.password | quote }}
{{- end }}
{{- if .Values.dev.redis.enabled }}
REDIS_URL: {{ printf "redis://%s-dev-redis:6379" $name | quote }}
{{- end }}
{{- end -}}

{{/* Service and NetworkPolicy of one such server. (dict "root" $ "component" "dev-redis" "port" 6379 "headless" true "from" (list "api" …)) */}}
{{- define "switchboard.devServer" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "switchboard.metadata" . | nindent 2 }}
spec:
  ports:
    - {name: server, port: {{ .port }}, targetPort: server, protocol: TCP}
  selector:
    {{- include "switchboard.selectorLabels" . | nindent 4 }}
{{- if .root.Values.networkPolicy.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "switchboard.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "switchboard.selectorLabels" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    - from:
        - podSelector:
            matchExpressions:
              - {key: app.kubernetes.io/name, operator: In, values: [{{ include "switchboard.name" .root }}]}
              - {key: app.kubernetes.io/instance, operator: In, values: [{{ .root.Release.Name }}]}
              - {key: app.kubernetes.io/component, operator: In, values: {{ toJson .from }}}
      ports:
        - {port: {{ .port }}, protocol: TCP}
  egress: []
{{- end }}
{{- end -}}

{{/* What the pods of such servers have in common. (dict "root" $ "component" "dev-redis" "values" .Values.dev.redis) */}}
{{- define "switchboard.devPod" -}}
metadata:
  labels:
    {{- include "switchboard.podLabels" . | nindent 4 }}
  annotations:
    checksum/secrets: {{ include "switchboard.devSecretData" .root | sha256sum | trunc 16 | quote }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with include "switchboard.imagePullSecrets" .root }}
  {{- . | trim | nindent 2 }}
  {{- end }}
  terminationGracePeriodSeconds: 30
  securityContext:
    {{- include "switchboard.podSecurityContext" .values.runAsUser | nindent 4 }}
{{- end -}}

{{/* Three probes of the port `server`. */}}
{{- define "switchboard.devProbes" -}}
startupProbe: {tcpSocket: {port: server}, periodSeconds: 1, failureThreshold: 120}
livenessProbe: {tcpSocket: {port: server}, periodSeconds: 10, failureThreshold: 6}
readinessProbe: {tcpSocket: {port: server}, periodSeconds: 2}
{{- end -}}
